package conformance

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"knockd/internal/knock"
)

// Capture writes packets as a capture file: Ethernet, nanosecond times.
func Capture(packets []Packet) []byte {
	var out bytes.Buffer
	w := pcapgo.NewWriterNanos(&out)
	must(w.WriteFileHeader(65535, layers.LinkTypeEthernet))
	for _, p := range packets {
		frame := Frame(p.Hit)
		must(w.WritePacket(gopacket.CaptureInfo{
			Timestamp: p.Time, CaptureLength: len(frame), Length: len(frame),
		}, frame))
	}
	return out.Bytes()
}

// Frame returns the Ethernet frame of a hit, with correct checksums.
func Frame(h knock.Hit) []byte {
	ether := &layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: layers.EthernetTypeIPv4}
	var network gopacket.SerializableLayer
	var checked gopacket.NetworkLayer
	if h.Dst.Is4() {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocol(h.Proto),
			SrcIP: h.Src.AsSlice(), DstIP: h.Dst.AsSlice()}
		network, checked = ip, ip
	} else {
		ether.EthernetType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocol(h.Proto),
			SrcIP: h.Src.AsSlice(), DstIP: h.Dst.AsSlice()}
		network, checked = ip, ip
	}
	buf := gopacket.NewSerializeBuffer()
	must(gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		ether, network, transport(h, checked), gopacket.Payload(make([]byte, h.PayloadLen))))
	return buf.Bytes()
}

func transport(h knock.Hit, network gopacket.NetworkLayer) gopacket.SerializableLayer {
	if h.Proto == knock.UDP {
		udp := &layers.UDP{SrcPort: layers.UDPPort(h.SrcPort), DstPort: layers.UDPPort(h.DstPort)}
		must(udp.SetNetworkLayerForChecksum(network))
		return udp
	}
	tcp := &layers.TCP{SrcPort: layers.TCPPort(h.SrcPort), DstPort: layers.TCPPort(h.DstPort), Seq: h.Seq, Window: 64240,
		FIN: h.Flags&knock.FIN != 0, SYN: h.Flags&knock.SYN != 0, RST: h.Flags&knock.RST != 0,
		PSH: h.Flags&knock.PSH != 0, ACK: h.Flags&knock.ACK != 0, URG: h.Flags&knock.URG != 0}
	must(tcp.SetNetworkLayerForChecksum(network))
	return tcp
}

// ReadCapture reads the TCP and UDP packets of a capture file of Ethernet
// frames, decoded by gopacket's own layers and not by the project's decoder.
func ReadCapture(name string) ([]Packet, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var packets []Packet
	for {
		data, info, err := r.ReadPacketData()
		if err == io.EOF {
			return packets, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if h, ok := decode(data); ok {
			packets = append(packets, Packet{h, info.Timestamp})
		}
	}
}

func decode(frame []byte) (h knock.Hit, ok bool) {
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	n, t := p.NetworkLayer(), p.TransportLayer()
	if n == nil || t == nil {
		return h, false
	}
	src, dst := n.NetworkFlow().Endpoints()
	h.Src, _ = netip.AddrFromSlice(src.Raw())
	h.Dst, _ = netip.AddrFromSlice(dst.Raw())
	h.PayloadLen = len(t.LayerPayload())
	switch t := t.(type) {
	case *layers.UDP:
		h.Proto, h.SrcPort, h.DstPort = knock.UDP, uint16(t.SrcPort), uint16(t.DstPort)
	case *layers.TCP:
		h.Proto, h.SrcPort, h.DstPort, h.Seq = knock.TCP, uint16(t.SrcPort), uint16(t.DstPort), t.Seq
		h.Flags = knock.Flags(t.Contents[13]) & 0x3f
	default:
		return h, false
	}
	return h, true
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
