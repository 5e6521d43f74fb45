package packet

import "encoding/binary"

const (
	tagLen  = 4 // IEEE 802.1Q: two octets of tag control, the EtherType that follows
	maxTags = 2
)

// EtherTypes (IEEE 802 numbers).
const (
	EtherTypeIPv4  = 0x0800
	EtherTypeIPv6  = 0x86dd
	EtherTypeVLAN  = 0x8100 // IEEE 802.1Q
	EtherTypeQinQ  = 0x88a8 // IEEE 802.1ad
	EtherTypeQinQ2 = 0x9100 // the same before it was standardized
)

// IsTag reports whether a VLAN tag follows an EtherType.
func IsTag(etherType uint16) bool {
	return etherType == EtherTypeVLAN || etherType == EtherTypeQinQ || etherType == EtherTypeQinQ2
}

// startsWithTag reports whether data can be the rest of a VLAN tag and something
// that it tags.
func startsWithTag(data []byte) bool {
	if len(data) <= tagLen {
		return false
	}
	switch t := binary.BigEndian.Uint16(data[2:]); t {
	case EtherTypeIPv4:
		return data[tagLen]>>4 == 4
	case EtherTypeIPv6:
		return data[tagLen]>>4 == 6
	default:
		return IsTag(t)
	}
}
