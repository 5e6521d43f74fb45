package knock

import "net/netip"

// index finds the doors that a hit concerns without looking at the others,
// by step and destination.
type index map[uint32]*stepDoors

// stepDoors is what the doors have to do with one step.
type stepDoors struct {
	local   group                 // doors without a target
	targets map[netip.Addr]*group // the others
}

// group is doors that watch the same destination.
type group struct {
	flags []FlagMatch // of those that have the step anywhere, each once
	first []int32     // those that begin with it, in file order
}

// key packs a step for quick look-up.
func (s Step) key() uint32 { return uint32(s.Proto)<<16 | uint32(s.Port) }

func newIndex(doors []*Door) index {
	x := index{}
	for i, d := range doors {
		for n, s := range d.Sequence {
			g := x.group(s, d.Target)
			g.see(d.Flags)
			if n == 0 {
				g.first = append(g.first, int32(i))
			}
		}
	}
	return x
}

// group returns the group of a step and a target, making it if needed.
func (x index) group(s Step, target netip.Addr) *group {
	e := x[s.key()]
	if e == nil {
		e = &stepDoors{}
		x[s.key()] = e
	}
	if !target.IsValid() {
		return &e.local
	}
	if e.targets == nil {
		e.targets = map[netip.Addr]*group{}
	}
	if e.targets[target] == nil {
		e.targets[target] = &group{}
	}
	return e.targets[target]
}

// see notes that a door of the group has these flags.
func (g *group) see(m FlagMatch) {
	for _, known := range g.flags {
		if known == m {
			return
		}
	}
	g.flags = append(g.flags, m)
}

// fits says whether any door of the group could use the hit.
func (g *group) fits(h *Hit) bool {
	for _, m := range g.flags {
		if h.satisfies(m) {
			return true
		}
	}
	return false
}

// concerned is the one or two groups of doors that watch where a hit went.
type concerned struct{ local, target *group }

var nobody = &group{}

// at returns the doors that a hit of this step concerns.
func (e *stepDoors) at(dst netip.Addr, local bool) concerned {
	c := concerned{nobody, nobody}
	if local {
		c.local = &e.local
	}
	if g := e.targets[dst]; g != nil {
		c.target = g
	}
	return c
}

// visible says whether any of the doors could use the hit.
func (c concerned) visible(h *Hit) bool { return c.local.fits(h) || c.target.fits(h) }

// each calls f with the doors that begin with the step, in file order.
func (c concerned) each(f func(door int32)) {
	a, b := c.local.first, c.target.first
	for len(a)+len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && a[0] < b[0] {
			f(a[0])
			a = a[1:]
		} else {
			f(b[0])
			b = b[1:]
		}
	}
}
