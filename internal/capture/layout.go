package capture

import "encoding/binary"

// headerLen is the length of the header of a record or block that comes after
// the first.
const headerLen = 16

// The layout of a pcap file (draft-ietf-opsawg-pcap): a header of 24 octets,
// then records with a header of 16.

func pcapHeader(f *frames) (record, error) {
	b, err := f.peek(24)
	if err != nil {
		return record{}, err
	}
	f.links = []linkType{linkType(f.order.Uint32(b[20:]))}
	f.next = pcapRecord
	return record{length: 24, vital: true}, nil
}

func pcapRecord(f *frames) (record, error) {
	b, err := f.peek(headerLen)
	if err != nil {
		return record{}, err
	}
	return record{length: 16 + int64(f.order.Uint32(b[8:]))}, nil
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

func pcapngBlock(f *frames) (record, error) {
	b, err := f.peek(12)
	if err != nil {
		return record{}, err
	}
	if binary.BigEndian.Uint32(b) == blockSection {
		if f.order = sectionOrder(b[8:]); f.order == nil {
			return record{}, f.malformed("has no byte-order magic")
		}
	}
	kind, length := f.order.Uint32(b), f.order.Uint32(b[4:])
	if length < max(12, blockLen[kind]) || length%4 != 0 {
		return record{}, f.malformed("claims %d octets", length)
	}
	return record{int64(length), kind == blockSection || kind == blockInterface}, nil
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
		if len(f.links) == maxInterfaces {
			return f.malformed("is of one interface too many: at most %d are read", maxInterfaces)
		}
		snap := f.order.Uint32(b[12:])
		if len(f.links) == 0 {
			f.snap = snap
		}
		// gopacket makes room for a packet of this length.
		f.order.PutUint32(b[12:], min(snap, frameLimit))
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
