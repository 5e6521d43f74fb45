package client

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"knockd/internal/knock"
)

// TestMarshalSegment has another implementation read the segment and compute
// its checksum.
func TestMarshalSegment(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []struct{ from, to string }{{"192.0.2.1", "198.51.100.255"}, {"2001:db8::ffff", "fe80::1"}} {
		from, to := netip.MustParseAddr(c.from), netip.MustParseAddr(c.to)
		for n := range 100 {
			data := bytes.Repeat([]byte{byte(n)}, n)
			b := marshalSegment(from, netip.AddrPortFrom(to, 7000), knock.SYN|knock.ACK, data)
			var tcp layers.TCP
			if err := tcp.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
				t.Fatal(err)
			}
			if tcp.DstPort != 7000 || tcp.SrcPort < 49152 || !tcp.SYN || !tcp.ACK || tcp.RST || tcp.FIN || tcp.PSH || tcp.URG || !bytes.Equal(tcp.Payload, data) {
				t.Errorf("%+v", tcp)
			}
			if from.Is4() {
				tcp.SetNetworkLayerForChecksum(&layers.IPv4{SrcIP: from.AsSlice(), DstIP: to.AsSlice(), Protocol: layers.IPProtocolTCP})
			} else {
				tcp.SetNetworkLayerForChecksum(&layers.IPv6{SrcIP: from.AsSlice(), DstIP: to.AsSlice(), NextHeader: layers.IPProtocolTCP})
			}
			// A correct checksum makes the sum over all vanish.
			if sum, err := tcp.ComputeChecksum(); err != nil || sum != 0 {
				t.Errorf("%s: checksum leaves %x, %v", c.from, sum, err)
			}
			seen[string(b[:8])] = true
		}
	}
	if len(seen) != 200 {
		t.Errorf("source port and sequence number repeat: %d of 200", len(seen))
	}
}
