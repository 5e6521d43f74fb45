package nft

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"knockd/internal/knock"
)

// Mark marks the packets of opened addresses, in a table of our own.
var Mark = Mode{&mode{
	name:   "mark",
	chains: markChain,
	open: func(t *target, o *Options) rule {
		// ip saddr @door4_ssh meta mark set meta mark | 0x00100000
		return append(source(t), setMark(o.Mark, 1)...)
	},
	advice: func(o Options, t knock.Table, chain string, r knock.PortRange) string {
		if t.Name == firewalld {
			return useGuard(r)
		}
		return acceptMark(o, t, chain, r)
	},
}}

// acceptMark returns the rule that lets through what bears our mark.
func acceptMark(o Options, t knock.Table, chain string, _ knock.PortRange) string {
	if tool := Iptables(t); tool != "" {
		return fmt.Sprintf("; add: %s -I %s -m mark --mark %v -j ACCEPT", tool, chain, o.Mark)
	}
	return fmt.Sprintf("; add: nft 'insert rule %s %s meta mark & %#x == %#x accept'", t, chain, o.Mark.Mask, o.Mark.Value)
}

// markChain begins the marking, before every firewall's filter.
func markChain(m *model) []*chain {
	// type filter hook prerouting priority mangle; policy accept;
	c := baseChain(m.opt.Table, "mark_prerouting", nftables.ChainHookPrerouting, *nftables.ChainPriorityMangle)
	// ct state new meta l4proto . th dport vmap @mark_ports
	c.rules = []rule{append(state(expr.CtStateBitNEW), portMap(m.ports.Name)...)}
	return []*chain{c}
}
