package knock

import "net/netip"

// index finds the doors that a step concerns without looking at the others.
type index map[uint32]*stepDoors

// stepDoors is what the doors have to do with one step.
type stepDoors struct {
	conditions []condition // of the doors that have it anywhere, each once
	first      []int32     // the doors that begin with it, in file order
}

// condition is all that decides whether a packet is visible to a door, beside
// its port and protocol.
type condition struct {
	flags  FlagMatch
	target netip.Addr
}

// visible says whether any of the doors could use a hit of this step.
func (e *stepDoors) visible(s *sighting) bool {
	for i := range e.conditions {
		c := &e.conditions[i]
		if s.satisfies(c.flags) && s.wentTo(c.target) {
			return true
		}
	}
	return false
}

// key packs a step for quick look-up.
func (s Step) key() uint32 { return uint32(s.Proto)<<16 | uint32(s.Port) }

func newIndex(doors []*Door) index {
	type entry struct {
		step Step
		cond condition
	}
	x := index{}
	seen := map[entry]bool{}
	for i, d := range doors {
		cond := condition{d.Flags, d.Target}
		for n, s := range d.Sequence {
			here := x[s.key()]
			if here == nil {
				here = &stepDoors{}
				x[s.key()] = here
			}
			if e := (entry{s, cond}); !seen[e] {
				seen[e] = true
				here.conditions = append(here.conditions, cond)
			}
			if n == 0 {
				here.first = append(here.first, int32(i))
			}
		}
	}
	return x
}
