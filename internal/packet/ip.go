package packet

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"knockd/internal/knock"
)

const (
	ip4Len = 20 // RFC 791, 3.1: without options
	ip6Len = 40 // RFC 8200, 3

	// maxExtensions is how many IPv6 extension headers are followed.
	maxExtensions = 4
)

// decodeIPv4 reads the fixed part of the header. Options are stepped over, not
// read, for the reason that decodeTCP gives.
func (d *Decoder) decodeIPv4(ip []byte, wire int) (s segment, ok bool) {
	if len(ip) < ip4Len {
		return s, false
	}
	header, total := int(ip[0]&0xf)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if header < ip4Len || header > len(ip) || total < header || total > wire {
		return s, false
	}
	copy(d.fixed[:], ip[:ip4Len])
	d.fixed[0] = 4<<4 | ip4Len/4
	if d.ip4.DecodeFromBytes(d.fixed[:ip4Len], gopacket.NilDecodeFeedback) != nil || d.ip4.FragOffset != 0 {
		return s, false
	}
	return segment{
		src:      netip.AddrFrom4([4]byte(d.ip4.SrcIP)),
		dst:      netip.AddrFrom4([4]byte(d.ip4.DstIP)),
		proto:    knock.Protocol(d.ip4.Protocol),
		octets:   ip[:min(total, len(ip))],
		data:     ip[header:min(total, len(ip))],
		size:     total - header,
		fragment: d.ip4.Flags&layers.IPv4MoreFragments != 0,
	}, true
}

// decodeIPv6 follows the extension headers to the segment. A jumbogram, whose
// length is not in the header (RFC 2675), is nobody's knock.
func (d *Decoder) decodeIPv6(ip []byte, wire int) (s segment, ok bool) {
	if len(ip) < ip6Len {
		return s, false
	}
	size := int(binary.BigEndian.Uint16(ip[4:]))
	if size == 0 || size > wire-ip6Len {
		return s, false
	}
	// Without a payload gopacket does not try to read hop-by-hop options,
	// for which it allocates.
	copy(d.fixed[:], ip[:ip6Len])
	d.fixed[6] = byte(layers.IPProtocolNoNextHeader)
	if d.ip6.DecodeFromBytes(d.fixed[:ip6Len], gopacket.NilDecodeFeedback) != nil {
		return s, false
	}
	ip = ip[:min(ip6Len+size, len(ip))]
	s = segment{
		src:    netip.AddrFrom16([16]byte(d.ip6.SrcIP)),
		dst:    netip.AddrFrom16([16]byte(d.ip6.DstIP)),
		octets: ip,
		data:   ip[ip6Len:],
		size:   size,
	}
	s.proto, ok = d.skipExtensions(&s, layers.IPProtocol(ip[6]))
	return s, ok
}

// skipExtensions moves the segment behind the extension headers, the first of
// which is of type next, and returns the protocol that follows them.
func (d *Decoder) skipExtensions(s *segment, next layers.IPProtocol) (knock.Protocol, bool) {
	for n := 0; isExtension(next); n++ {
		if n == maxExtensions || len(s.data) < 8 {
			return 0, false
		}
		if next == layers.IPProtocolIPv6Fragment {
			if offset := binary.BigEndian.Uint16(s.data[2:]) >> 3; offset != 0 {
				return 0, false
			}
			s.fragment = s.fragment || s.data[3]&1 != 0
		}
		length := extensionLen(next, s.data[1])
		if length > len(s.data) {
			return 0, false
		}
		next = layers.IPProtocol(s.data[0])
		s.data, s.size = s.data[length:], s.size-length
	}
	return knock.Protocol(next), true
}

// Extensions returns the numbers of the IPv6 extension headers that are
// followed: those behind which a segment can be read (RFC 8200, 4; RFC 4302, 2).
func Extensions() [5]byte {
	return [...]byte{
		byte(layers.IPProtocolIPv6HopByHop), byte(layers.IPProtocolIPv6Routing),
		byte(layers.IPProtocolIPv6Fragment), byte(layers.IPProtocolAH),
		byte(layers.IPProtocolIPv6Destination),
	}
}

func isExtension(p layers.IPProtocol) bool {
	for _, e := range Extensions() {
		if byte(p) == e {
			return true
		}
	}
	return false
}

// extensionLen returns the octets of an extension header whose length field
// has the given value: in units of 8 without the first 8; for the fragment
// header always 8, the field being reserved; for AH in units of 4 less 2.
func extensionLen(p layers.IPProtocol, field byte) int {
	switch p {
	case layers.IPProtocolIPv6Fragment:
		return 8
	case layers.IPProtocolAH:
		return int(field)*4 + 8
	}
	return int(field)*8 + 8
}
