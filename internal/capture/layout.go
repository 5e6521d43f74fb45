package capture

import "encoding/binary"

// The layout of a pcap file (draft-ietf-opsawg-pcap): a header of 24 octets,
// then records with a header of 16.

func pcapHeader(f *frames) (int64, error) {
	b, err := f.peek(24)
	if err != nil {
		return 0, err
	}
	f.links = []linkType{linkType(f.order.Uint32(b[20:]))}
	f.next = pcapRecord
	return 24, nil
}

func pcapRecord(f *frames) (int64, error) {
	b, err := f.peek(16)
	if err != nil {
		return 0, err
	}
	return 16 + int64(f.order.Uint32(b[8:])), nil
}

// The layout of a pcapng file (draft-ietf-opsawg-pcapng): blocks, each with
// type and length first, the length again at its end.
const (
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6
	blockSection   = 0x0a0d0d0a // the same in both byte orders
	sectionMagic   = 0x1a2b3c4d
)

// blockLen is the least length of the blocks that gopacket reads.
var blockLen = map[uint32]uint32{
	blockInterface: 20, blockPacket: 32, blockSimple: 16, blockEnhanced: 32, blockSection: 28,
}

func pcapngBlock(f *frames) (int64, error) {
	b, err := f.peek(12)
	if err != nil {
		return 0, err
	}
	if binary.BigEndian.Uint32(b) == blockSection {
		if f.order = sectionOrder(b[8:]); f.order == nil {
			return 0, f.malformed("has no byte-order magic")
		}
	}
	length := f.order.Uint32(b[4:])
	if length < max(12, blockLen[f.order.Uint32(b)]) || length%4 != 0 {
		return 0, f.malformed("claims %d octets", length)
	}
	return int64(length), nil
}

// pcapngCheck takes down what a whole block says of interfaces, and refuses
// packets that claim to be longer than their block.
func pcapngCheck(f *frames) error {
	b, length := f.frame, uint32(len(f.frame))
	captured := uint32(0)
	switch f.order.Uint32(b) {
	case blockSection:
		f.links = nil
	case blockInterface:
		if len(f.links) == 0 {
			f.snap = f.order.Uint32(b[12:])
		}
		f.links = append(f.links, linkType(f.order.Uint16(b[8:])))
	case blockPacket, blockEnhanced:
		captured = f.order.Uint32(b[20:])
	case blockSimple:
		if captured = f.order.Uint32(b[8:]); f.snap != 0 {
			captured = min(captured, f.snap)
		}
	}
	if captured > length-blockLen[f.order.Uint32(b)] && captured > 0 {
		return f.malformed("holds less than the %d octets it claims", captured)
	}
	return nil
}

func sectionOrder(magic []byte) binary.ByteOrder {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if order.Uint32(magic) == sectionMagic {
			return order
		}
	}
	return nil
}
