package nft

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"knockd/internal/knock"
)

// Guard closes the doors' ports to all but opened addresses, in a table of our
// own; see the package comment.
var Guard = Mode{&mode{
	name:   "guard",
	chains: guardChain,
	open: func(t *target, _ *Options) rule {
		// ip saddr @door4_ssh accept
		return append(source(t), verdict(expr.VerdictAccept))
	},
	closes: true,
	advice: func(_ Options, t knock.Table, _ string, r knock.PortRange) string {
		switch {
		case t.Name == firewalld:
			return fmt.Sprintf("; guard can only take away: allow %s in firewalld's zone", r)
		case Iptables(t) != "":
			return fmt.Sprintf("; guard can only take away: accept %s there, or use nft_mode = mark", r)
		}
		return fmt.Sprintf("; guard can only take away: accept %s there, or use nft_mode = set or mark", r)
	},
}}

// guardPriority is before `filter`, where iptables, ufw and most rulesets
// stand: a drop cannot be undone after it.
const guardPriority = -10

// guardChain begins the guard. Each hook has a chain of its own name, so
// that one can take over from the other without a gap.
func guardChain(m *model) []*chain {
	// type filter hook input priority filter - 10; policy accept;
	c := baseChain(m.opt.Table, "guard", nftables.ChainHookInput, guardPriority)
	if m.opt.Hook == Prerouting {
		// type filter hook prerouting priority mangle; policy accept;
		c = baseChain(m.opt.Table, "guard_prerouting", nftables.ChainHookPrerouting, *nftables.ChainPriorityMangle)
	}
	c.rules = []rule{
		// iif "lo" accept
		append(loopback(), verdict(expr.VerdictAccept)),
		// ct state established,related accept
		append(state(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), verdict(expr.VerdictAccept)),
		// tcp flags & (fin | syn | rst | ack) != syn return
		//
		// Without rules that track connections the kernel does not know those
		// that are older than the guard.
		append(beginsNothing(), verdict(expr.VerdictReturn)),
	}
	if m.opt.Hook == Prerouting {
		// fib daddr type != local accept
		c.rules = append(c.rules, append(forwarded(), verdict(expr.VerdictAccept)))
	}
	for _, p := range m.opt.Rescue {
		// ip saddr 198.51.100.0/24 accept
		c.rules = append(c.rules, append(from(p), verdict(expr.VerdictAccept)))
	}
	// meta l4proto . th dport vmap @guard_ports
	c.rules = append(c.rules, portMap(m.ports.Name))
	if m.trial != nil {
		// meta l4proto . th dport vmap @guard_trial
		c.rules = append(c.rules, portMap(m.trial.Name))
	}
	return []*chain{c}
}
