package explain

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// recent remembers the latest packets of sources of which nothing is told yet: most
// will send nothing more. Its memory is fixed; of two sources that have the same
// place the later takes it.
type recent struct {
	seed  maphash.Seed
	slots []recentSlot
}

type recentSlot struct {
	src     netip.Addr
	n       int
	packets [3]Packet
}

// recentSlots is how many sources are remembered.
const recentSlots = 4096

func newRecent() recent { return recent{maphash.MakeSeed(), make([]recentSlot, recentSlots)} }

func (r *recent) slot(src netip.Addr) *recentSlot {
	return &r.slots[maphash.Comparable(r.seed, src)%recentSlots]
}

// next returns where to put a source's packet: in place of its oldest if there is
// no room.
func (r *recent) next(src netip.Addr) *Packet {
	slot := r.slot(src)
	switch {
	case slot.src != src:
		slot.src, slot.n = src, 0
	case slot.n == len(slot.packets):
		spare := slot.packets[0].Verdicts
		copy(slot.packets[:], slot.packets[1:])
		slot.n--
		slot.packets[slot.n].Verdicts = spare
	}
	slot.n++
	return &slot.packets[slot.n-1]
}

// take returns a source's packets since a time, in order, and forgets them.
func (r *recent) take(src netip.Addr, since time.Time) (packets []Packet) {
	slot := r.slot(src)
	if slot.src != src {
		return nil
	}
	for _, p := range slot.packets[:slot.n] {
		if !p.At.Before(since) {
			packets = append(packets, p)
		}
	}
	*slot = recentSlot{}
	return packets
}
