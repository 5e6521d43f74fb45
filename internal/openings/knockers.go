package openings

import "net/netip"

// knockers finds the openings that are for an address, without a look at the
// others: anybody who knows a door can have as many of them held as a door may
// have, and ask for this as often as packets come.
type knockers struct {
	first  map[netip.Prefix]*entry // of those that are for one address or network
	widths map[width]int           // how many there are of each
}

// width is the size of a network, in an address of so many bits.
type width struct{ address, network int }

func newKnockers() knockers {
	return knockers{map[netip.Prefix]*entry{}, map[width]int{}}
}

func widthOf(p netip.Prefix) width { return width{p.Addr().BitLen(), p.Bits()} }

func (k *knockers) add(e *entry) {
	p := e.Network()
	if e.next = k.first[p]; e.next != nil {
		e.next.prev = e
	}
	k.first[p] = e
	k.widths[widthOf(p)]++
}

func (k *knockers) remove(e *entry) {
	p := e.Network()
	if e.next != nil {
		e.next.prev = e.prev
	}
	switch {
	case e.prev != nil:
		e.prev.next = e.next
	case e.next != nil:
		k.first[p] = e.next
	default:
		delete(k.first, p)
	}
	e.prev, e.next = nil, nil
	w := widthOf(p)
	if k.widths[w]--; k.widths[w] == 0 {
		delete(k.widths, w)
	}
}

// each calls f with the openings that are for an address, the newest of a
// network first.
func (k *knockers) each(a netip.Addr, f func(*entry)) {
	for w := range k.widths {
		if p, err := a.Prefix(w.network); err == nil && w.address == a.BitLen() {
			for e := k.first[p]; e != nil; e = e.next {
				f(e)
			}
		}
	}
}
