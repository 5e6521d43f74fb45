package nft

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// NAT leads the ports of openings elsewhere, in a table of its own beside that
// of the mode that opens ports ([NATTable]). No configuration names it.
//
// A map per door and IP version leads from the knocker's address and the outer
// port to an address and a port. What it has translated bears the mark, so that
// one rule of the host's FORWARD or INPUT chain can accept it.
var NAT = Mode{&mode{
	name:   "nat",
	chains: func(m *model) []*chain { return append(masqueradeChains(m), natChain(m)) },
	open: func(t *target, o *Options) rule {
		return translation(t, o.Mark, o.oneLookup)
	},
	translates: true,
	advice:     acceptMark,
}}

// Priorities: before Docker and other DNAT, after conntrack; and before other
// masquerading.
const (
	dstnatPriority = -101
	srcnatPriority = 99
)

// natChain begins the translation, of the first packet of each connection.
func natChain(m *model) *chain {
	// type nat hook prerouting priority dstnat - 1; policy accept;
	c := baseChain(m.opt.Table, "nat_prerouting", nftables.ChainHookPrerouting, dstnatPriority)
	c.nf.Type = nftables.ChainTypeNAT
	c.rules = []rule{
		// fib daddr type != local accept
		append(forwarded(), verdict(expr.VerdictAccept)),
		// meta l4proto . th dport vmap @nat_ports
		portMap(m.ports.Name),
	}
	return c
}

// masqueradeChains returns the one chain that hides knockers from targets that
// do not know the way back to them, or none.
func masqueradeChains(m *model) []*chain {
	// type nat hook postrouting priority srcnat - 1; policy accept;
	c := baseChain(m.opt.Table, "nat_postrouting", nftables.ChainHookPostrouting, srcnatPriority)
	c.nf.Type = nftables.ChainTypeNAT
	for _, d := range m.doors {
		for _, t := range d.NAT {
			if d.Masquerade {
				c.rules = append(c.rules, m.masquerade(t))
			}
		}
	}
	if len(c.rules) == 0 {
		return nil
	}
	return []*chain{c}
}
