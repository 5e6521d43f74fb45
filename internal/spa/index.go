package spa

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// maxKept bounds how many combinations of doors are kept.
const maxKept = 64

// doorIndex finds the doors that accept a packet. Of thousands of doors most have
// the same rule, so each rule is asked once, and what comes out is kept.
type doorIndex struct {
	rules []rule
	kept  map[string]*acceptors // by the numbers of the rules that accept a packet
	which []byte                // the numbers for the packet at hand
	count uint64                // of the acceptors being counted
}

// rule decides whether some doors accept a packet.
type rule struct {
	*Door // any of them
	doors []int
}

// acceptors are the doors that accept a packet.
type acceptors struct {
	doors  []int // in file order
	trials int   // of all their keys, each once
}

func newDoorIndex(doors []*Door) doorIndex {
	e := doorIndex{kept: map[string]*acceptors{}}
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

// acceptors returns the doors that accept the packet.
func (v *Verifier) acceptors(c *candidate) *acceptors {
	e := &v.doorIndex
	e.which = e.which[:0]
	for i := range e.rules {
		if e.rules[i].accepts(c.Packet, c.via) {
			e.which = binary.AppendUvarint(e.which, uint64(i))
		}
	}
	if a := e.kept[string(e.which)]; a != nil {
		return a
	}
	a := v.joinDoors(e.which)
	if len(e.kept) == maxKept {
		clear(e.kept)
	}
	e.kept[string(e.which)] = a
	return a
}

// joinDoors returns the doors of some rules.
func (v *Verifier) joinDoors(which []byte) *acceptors {
	a := &acceptors{}
	accepts := make([]bool, len(v.doors))
	for len(which) > 0 {
		i, n := binary.Uvarint(which)
		which = which[n:]
		for _, door := range v.doorIndex.rules[i].doors {
			accepts[door] = true
		}
	}
	v.doorIndex.count++
	for door := range v.doors {
		if !accepts[door] {
			continue
		}
		a.doors = append(a.doors, door)
		for _, s := range v.keys[door] {
			if s.counted != v.doorIndex.count {
				s.counted = v.doorIndex.count
				a.trials += s.trial()
			}
		}
	}
	return a
}

// payer returns whose packet it is: the sender's, or that of the one whom a proxy
// names that some door trusts.
func (x *doorIndex) payer(c *candidate) netip.Addr {
	if !c.forwarded.IsValid() {
		return c.Src
	}
	for i := range x.rules {
		if inAny(x.rules[i].Proxies, c.Src) && x.rules[i].accepts(c.Packet, c.via) {
			return c.forwarded
		}
	}
	return c.Src
}
