package capture

import (
	"encoding/binary"

	"knockd/internal/packet"
)

// linkType is what a packet of a capture file begins with
// (https://www.tcpdump.org/linktypes.html).
type linkType uint16

const (
	linkNull     linkType = 0
	linkEthernet linkType = 1
	linkRawBSD   linkType = 12 // DLT_RAW, where somebody wrote it into a file
	linkRawBSD14 linkType = 14 // the same on OpenBSD
	linkRaw      linkType = 101
	linkLoop     linkType = 108
	linkCooked   linkType = 113
	linkIPv4     linkType = 228
	linkIPv6     linkType = 229
	linkCooked2  linkType = 276
)

// maxTags is how many VLAN tags of a frame are stepped over.
const maxTags = 4

// known reports whether the network layer's octets can be found in frames of this type.
func (l linkType) known() bool {
	switch l {
	case linkNull, linkEthernet, linkRawBSD, linkRawBSD14, linkRaw, linkLoop,
		linkCooked, linkIPv4, linkIPv6, linkCooked2:
		return true
	}
	return false
}

// network returns how many octets come before the IP header, and the index of
// the interface if the link header tells. It returns false if what follows is
// not IP or not there.
func (l linkType) network(frame []byte) (offset, ifIndex int, ok bool) {
	switch l {
	case linkEthernet:
		return skipTags(frame, 12)
	case linkCooked:
		return skipTags(frame, 14)
	case linkCooked2:
		if len(frame) < 20 {
			return 0, 0, false
		}
		if offset, _, ok = etherType(frame, 0, 20); !ok {
			return 0, 0, false
		}
		return offset, int(binary.BigEndian.Uint32(frame[4:])), true
	case linkNull, linkLoop:
		// An address family, whose numbers differ from system to system; the
		// IP version says the same.
		return 4, 0, len(frame) > 4
	}
	return 0, 0, len(frame) > 0
}

// skipTags reads the EtherType at the given place and steps over tags.
func skipTags(frame []byte, at int) (offset, ifIndex int, ok bool) {
	return etherType(frame, at, at+2)
}

// etherType looks at the EtherType at the given place, which says what the
// octets from offset on are, and steps over VLAN tags.
func etherType(frame []byte, at, offset int) (int, int, bool) {
	for range maxTags + 1 {
		if len(frame) <= offset {
			return 0, 0, false
		}
		switch t := binary.BigEndian.Uint16(frame[at:]); {
		case t == packet.EtherTypeIPv4, t == packet.EtherTypeIPv6:
			return offset, 0, true
		case !packet.IsTag(t):
			return 0, 0, false
		}
		at, offset = offset+2, offset+4
		if len(frame) < offset {
			return 0, 0, false
		}
	}
	return 0, 0, false
}
