package knock

import (
	"net/netip"
	"slices"
)

// index finds the doors that a hit concerns without looking at the others: by
// protocol, by the two octets of the port, then by destination.
type index [2][256]*indexPage

type indexPage [256]*stepDoors

// stepDoors is what the doors have to do with one step.
type stepDoors struct {
	local   group                 // doors without a target
	targets map[netip.Addr]*group // the others
	shared  bool                  // by several ports
}

// group is doors that watch the same destination.
type group struct {
	conditions []condition // of those that have the step anywhere, each once
	first      []int32     // those that begin with it, in file order
}

// condition is all that decides whether a packet is visible to a door, beside
// its port, protocol and destination.
type condition struct {
	flags   FlagMatch
	lengths Lengths
	from    *senders
}

func (c *condition) meets(h *Hit) bool {
	return h.satisfies(c.flags) && c.lengths.has(h.PayloadLen) && c.from.has(h.Src)
}

// of returns the doors that have to do with a hit's port, or nil.
func (x *index) of(h *Hit) *stepDoors {
	var pages *[256]*indexPage
	switch h.Proto {
	case TCP:
		pages = &x[0]
	case UDP:
		pages = &x[1]
	default:
		return nil
	}
	page := pages[h.DstPort>>8]
	if page == nil {
		return nil
	}
	return page[h.DstPort&0xff]
}

// at returns the place of a port, to be filled.
func (x *index) at(proto Protocol, port uint16) **stepDoors {
	pages := &x[0]
	if proto == UDP {
		pages = &x[1]
	}
	if pages[port>>8] == nil {
		pages[port>>8] = &indexPage{}
	}
	return &pages[port>>8][port&0xff]
}

func newIndex(doors []rules) *index {
	x := &index{}
	for i := range doors {
		d := &doors[i]
		for n, s := range d.Sequence {
			if s.Port == 0 {
				x.addRanges(d, s.Proto, int32(i), n == 0)
			} else {
				x.own(s).group(d.Target).add(d, int32(i), n == 0)
			}
		}
	}
	return x
}

// own returns the entry of a step, which no other port shares from now on.
func (x *index) own(s Step) *stepDoors {
	at := x.at(s.Proto, s.Port)
	if *at == nil || (*at).shared {
		*at = (*at).clone()
	}
	return *at
}

// addRanges enters a step that takes any of a door's OpenPorts. Ports that
// mean the same share an entry.
func (x *index) addRanges(d *rules, proto Protocol, door int32, first bool) {
	with := map[*stepDoors]*stepDoors{} // entries with the step, by those without
	done := map[*stepDoors]bool{}
	for _, r := range d.OpenPorts {
		for port := int(r.First); port <= int(r.Last); port++ {
			at := x.at(proto, uint16(port))
			if done[*at] {
				continue
			}
			now := with[*at]
			if now == nil {
				now = (*at).clone()
				now.shared = true
				now.group(d.Target).add(d, door, first)
				with[*at], done[now] = now, true
			}
			*at = now
		}
	}
}

// clone returns a copy of an entry, an empty one of nil.
func (e *stepDoors) clone() *stepDoors {
	now := &stepDoors{}
	if e == nil {
		return now
	}
	now.local = e.local.clone()
	for target, g := range e.targets {
		*now.group(target) = g.clone()
	}
	return now
}

func (g *group) clone() group { return group{slices.Clone(g.conditions), slices.Clone(g.first)} }

// group returns the group of a target, making it if needed.
func (e *stepDoors) group(target netip.Addr) *group {
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

// add enters a door that has the step.
func (g *group) add(d *rules, door int32, first bool) {
	c := condition{d.Flags, d.PacketLength, d.from}
	if !slices.Contains(g.conditions, c) {
		g.conditions = append(g.conditions, c)
	}
	if first {
		g.first = append(g.first, door)
	}
}

// fits reports whether any door of the group could use the hit.
func (g *group) fits(h *Hit) bool {
	for i := range g.conditions {
		if g.conditions[i].meets(h) {
			return true
		}
	}
	return false
}

// concerned is the one or two groups of doors that watch where a hit went.
type concerned struct{ local, target *group }

var nobody = &group{}

// at returns the doors that a hit of this step concerns. Nil concerns none.
func (e *stepDoors) at(dst netip.Addr, local bool) concerned {
	c := concerned{nobody, nobody}
	if e == nil {
		return c
	}
	if local {
		c.local = &e.local
	}
	if g := e.targets[dst]; g != nil {
		c.target = g
	}
	return c
}

// visible reports whether any of the doors could use the hit.
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
