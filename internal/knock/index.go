package knock

import "net/netip"

// index finds the doors that a step concerns without looking at the others.
type index map[Step]*stepDoors

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
			if x[s] == nil {
				x[s] = &stepDoors{}
			}
			if e := (entry{s, cond}); !seen[e] {
				seen[e] = true
				x[s].conditions = append(x[s].conditions, cond)
			}
			if n == 0 {
				x[s].first = append(x[s].first, int32(i))
			}
		}
	}
	return x
}
