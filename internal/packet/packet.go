package packet

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"knockd/internal/knock"
)

// Packet is a TCP segment or UDP datagram.
type Packet struct {
	knock.Hit
	// Payload is what the segment or datagram carries, as far as it was
	// captured: a part of the octets decoded, at most Hit.PayloadLen of them.
	Payload []byte
	// Octets is the packet from the first octet of its IP header on, as far
	// as it was captured, without what a link may have added behind it.
	Octets []byte
}

// Decoder decodes without allocating. It is not safe for concurrent use.
type Decoder struct {
	// Any: packets of other protocols than TCP and UDP count, too; they have no
	// ports.
	Any bool

	ip4   layers.IPv4
	ip6   layers.IPv6
	tcp   layers.TCP
	udp   layers.UDP
	fixed [ip6Len]byte // a header without its options
}

// Decode decodes a packet of wire octets, of which the first len(ip) were
// captured, from the first octet of its IP header on. The result is false if it
// is no well-formed TCP segment or UDP datagram, or if the fixed part of one of
// its headers was not captured. The octets may begin with up to two VLAN tags,
// each without its leading EtherType: what a packet socket delivers for frames
// that are tagged more than once.
func (d *Decoder) Decode(ip []byte, wire int) (Packet, bool) {
	for tags := 0; ; tags++ {
		if p, ok := d.decode(ip, wire); ok {
			return p, true
		}
		if tags == maxTags || !startsWithTag(ip) {
			return Packet{}, false
		}
		ip, wire = ip[tagLen:], wire-tagLen
	}
}

func (d *Decoder) decode(ip []byte, wire int) (Packet, bool) {
	if len(ip) == 0 || len(ip) > wire {
		return Packet{}, false
	}
	var s segment
	var ok bool
	switch ip[0] >> 4 {
	case 4:
		s, ok = d.decodeIPv4(ip, wire)
	case 6:
		s, ok = d.decodeIPv6(ip, wire)
	}
	if !ok || !plausible(s.src, s.dst) {
		return Packet{}, false
	}
	p := Packet{Hit: knock.Hit{Src: s.src, Dst: s.dst, Proto: s.proto}, Octets: s.octets}
	switch s.proto {
	case knock.TCP:
		ok = d.decodeTCP(&p, &s)
	case knock.UDP:
		ok = d.decodeUDP(&p, &s)
	default:
		ok = d.Any
		p.PayloadLen = s.size
	}
	if !ok {
		return Packet{}, false
	}
	return p, true
}

// segment is what an IP packet carries.
type segment struct {
	src, dst netip.Addr
	proto    knock.Protocol
	octets   []byte // the packet it came in, as far as captured
	data     []byte // as far as captured, never more than size
	size     int    // octets, by the IP header
	fragment bool   // the first of several
}

// plausible refuses addresses that no host can have sent from or that would
// be taken for somebody else's: an unspecified or multicast source, and
// IPv4-mapped addresses, which RFC 4291 keeps off the wire.
func plausible(src, dst netip.Addr) bool {
	return !src.IsUnspecified() && !src.IsMulticast() && src != broadcast &&
		!src.Is4In6() && !dst.Is4In6()
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

const (
	tcpLen = 20 // RFC 9293, 3.1: without options
	udpLen = 8  // RFC 768
)

// decodeTCP reads the fixed part of the header. The options decide nothing
// here, and gopacket refuses segments whose options it cannot read, which
// every host accepts: it is shown a header without any.
func (d *Decoder) decodeTCP(p *Packet, s *segment) bool {
	if len(s.data) < tcpLen {
		return false
	}
	header := int(s.data[12]>>4) * 4
	if header < tcpLen || header > s.size {
		return false
	}
	copy(d.fixed[:], s.data[:tcpLen])
	d.fixed[12] = tcpLen / 4 << 4
	if d.tcp.DecodeFromBytes(d.fixed[:tcpLen], gopacket.NilDecodeFeedback) != nil {
		return false
	}
	p.SrcPort, p.DstPort = uint16(d.tcp.SrcPort), uint16(d.tcp.DstPort)
	p.Seq = d.tcp.Seq
	p.Flags = knock.Flags(s.data[13]) & (knock.FIN | knock.SYN | knock.RST | knock.PSH | knock.ACK | knock.URG)
	p.PayloadLen = s.size - header
	p.Payload = s.data[min(header, len(s.data)):]
	return true
}

// decodeUDP trusts the header's own length (RFC 768), which may be less than
// the IP header leaves room for; more is possible only in a fragment.
func (d *Decoder) decodeUDP(p *Packet, s *segment) bool {
	if len(s.data) < udpLen {
		return false
	}
	length := int(binary.BigEndian.Uint16(s.data[4:]))
	if length < udpLen || length > s.size && !s.fragment {
		return false
	}
	if d.udp.DecodeFromBytes(s.data, gopacket.NilDecodeFeedback) != nil {
		return false
	}
	p.SrcPort, p.DstPort = uint16(d.udp.SrcPort), uint16(d.udp.DstPort)
	p.PayloadLen = length - udpLen
	p.Payload = d.udp.Payload
	return true
}
