package knock

import (
	"hash/maphash"
	"net/netip"
)

// source is a knocker's address without pointers: netip.Addr.As16, with a mark
// that keeps IPv4 apart from the IPv6 address it would be mapped to, and the
// keyed hash by which it is found.
type source struct {
	octets [16]byte
	hash   uint32
	is4    bool
}

func (s *source) addr() netip.Addr {
	addr := netip.AddrFrom16(s.octets)
	if s.is4 {
		return addr.Unmap()
	}
	return addr
}

// sources finds the first attempt of a source: a hash table with linear
// probing, at most half full, whose entries are small so that a source that
// has no attempt costs one cache miss. Its size never changes.
type sources struct {
	seed    maphash.Seed
	entries []sourceEntry
	mask    uint32
}

type sourceEntry struct {
	hash uint32
	slot int32 // of the oldest attempt, plus one; 0: empty
}

func newSources(limit int) sources {
	size := 2
	for size < 2*limit {
		size *= 2
	}
	return sources{maphash.MakeSeed(), make([]sourceEntry, size), uint32(size - 1)}
}

// of returns the source that an address stands for.
func (s *sources) of(addr netip.Addr) source {
	src := source{octets: addr.As16(), is4: addr.Is4()}
	src.hash = uint32(maphash.Bytes(s.seed, src.octets[:]))
	return src
}

// place returns the entry of the attempt in a slot, which must be its
// source's oldest.
func (s *sources) place(hash uint32, slot int32) uint32 {
	p := hash & s.mask
	for s.entries[p].slot != slot+1 {
		p = (p + 1) & s.mask
	}
	return p
}

// add enters the first attempt of a source that has none.
func (s *sources) add(hash uint32, slot int32) {
	p := hash & s.mask
	for s.entries[p].slot != 0 {
		p = (p + 1) & s.mask
	}
	s.entries[p] = sourceEntry{hash, slot + 1}
}

// remove empties an entry and closes the gap, so that every other entry is
// still found by probing from the place that its hash points to.
func (s *sources) remove(gap uint32) {
	for p := (gap + 1) & s.mask; s.entries[p].slot != 0; p = (p + 1) & s.mask {
		home := s.entries[p].hash & s.mask
		if (p-home)&s.mask >= (p-gap)&s.mask {
			s.entries[gap] = s.entries[p]
			gap = p
		}
	}
	s.entries[gap] = sourceEntry{}
}
