package spa

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// maxAudiences bounds how many are kept.
const maxAudiences = 64

// doorIndex finds the doors that a packet may concern. Of thousands of doors most hear
// alike, so each rule is asked once, and what comes out is kept.
type doorIndex struct {
	rules []rule
	kept  map[string]*audience // by the numbers of the rules that hear it
	which []byte               // the numbers for the packet at hand
	count uint64               // of the audience being counted
}

// rule is what decides whether some doors hear a packet.
type rule struct {
	*Door // any of them
	doors []int
}

// audience is the doors that hear a packet.
type audience struct {
	doors  []int // in file order
	trials int   // of all their keys, each once
}

func newDoorIndex(doors []*Door) doorIndex {
	e := doorIndex{kept: map[string]*audience{}}
	known := map[string]int{}
	for i, d := range doors {
		text := fmt.Sprint(d.Listen, d.TCP, d.HTTP, d.IPv6, d.Allow, d.Deny, d.Destination, d.Proxies)
		n, ok := known[text]
		if !ok {
			n = len(e.rules)
			known[text] = n
			e.rules = append(e.rules, rule{Door: d})
		}
		e.rules[n].doors = append(e.rules[n].doors, i)
	}
	return e
}

// audience returns the doors that hear the packet.
func (g *Verifier) audience(c *candidate) *audience {
	e := &g.doorIndex
	e.which = e.which[:0]
	for i := range e.rules {
		if e.rules[i].accepts(c.Packet, c.via) {
			e.which = binary.AppendUvarint(e.which, uint64(i))
		}
	}
	if a := e.kept[string(e.which)]; a != nil {
		return a
	}
	a := g.newAudience(e.which)
	if len(e.kept) == maxAudiences {
		clear(e.kept)
	}
	e.kept[string(e.which)] = a
	return a
}

// newAudience joins the doors of some rules.
func (g *Verifier) newAudience(which []byte) *audience {
	a := &audience{}
	hears := make([]bool, len(g.doors))
	for len(which) > 0 {
		i, n := binary.Uvarint(which)
		which = which[n:]
		for _, door := range g.doorIndex.rules[i].doors {
			hears[door] = true
		}
	}
	g.doorIndex.count++
	for door := range g.doors {
		if !hears[door] {
			continue
		}
		a.doors = append(a.doors, door)
		for _, s := range g.keys[door] {
			if s.counted != g.doorIndex.count {
				s.counted = g.doorIndex.count
				a.trials += s.trial()
			}
		}
	}
	return a
}

// payer returns whose packet it is: the sender's, or that of the one whom a proxy
// names that some door trusts.
func (e *doorIndex) payer(c *candidate) netip.Addr {
	if !c.forwarded.IsValid() {
		return c.Src
	}
	for i := range e.rules {
		if inAny(e.rules[i].Proxies, c.Src) && e.rules[i].accepts(c.Packet, c.via) {
			return c.forwarded
		}
	}
	return c.Src
}
