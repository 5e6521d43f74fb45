package nft

import (
	"slices"

	"knockd/internal/knock"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// model is what our own table is to look like.
type model struct {
	opt   *Options
	doors []*spec
	sets  []*target
	// segments are the ports that have chains.
	segments []segment
	chains   []*chain
	base     *chain
	ports    *nftables.Set
	routes   []route // the elements of ports
}

// chain is a chain of ours with all its rules. A base chain has a hook.
type chain struct {
	nf    *nftables.Chain
	rules []rule
}

// route is an element of the map from ports to chains.
type route struct {
	knock.PortRange
	chain string
}

func (r route) element() nftables.SetElement {
	return nftables.SetElement{
		Key:         portKey(uint8(r.Proto), r.First),
		KeyEnd:      portKey(uint8(r.Proto), r.Last),
		VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: r.chain},
	}
}

// newModel designs the table for all modes but set; segments are the ports to
// look at.
func newModel(o *Options, doors []*spec, segments []segment) *model {
	m := &model{opt: o, doors: doors, segments: segments, ports: portsMap(o)}
	for _, d := range doors {
		m.sets = append(m.sets, d.targets()...)
	}
	for _, s := range segments {
		c := m.portChain(s)
		m.chains = append(m.chains, c)
		m.routes = append(m.routes, route{s.PortRange, c.nf.Name})
	}
	switch o.Mode {
	case Mark:
		m.base = m.markChain()
	case NAT:
		m.base = m.natChain()
		m.chains = append(m.chains, m.masqueradeChains()...)
	default:
		m.base = m.guardChain()
	}
	m.chains = append(m.chains, m.base)
	return m
}

// portsMap: map guard_ports { type inet_proto . inet_service : verdict;
// flags interval; comment "knockd:ports"; }
func portsMap(o *Options) *nftables.Set {
	return &nftables.Set{
		Table: o.Table.nf(), Name: mapName(o.Mode), IsMap: true, Interval: true, Concatenation: true,
		KeyType:  nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService),
		DataType: nftables.TypeVerdict, Comment: marker + "ports",
	}
}

// portChain is where the packets to a range of ports go: through the sets of
// all doors that open them, and in a guard to the end.
func (m *model) portChain(s segment) *chain {
	c := &chain{nf: &nftables.Chain{Name: chainName(m.opt.Mode, s.PortRange), Table: m.opt.Table.nf()}}
	for _, d := range s.doors {
		for _, t := range d.targets() {
			switch m.opt.Mode {
			case Mark:
				// ip saddr @door4_ssh meta mark set meta mark | 0x00100000
				c.rules = append(c.rules, append(source(t), setMark(m.opt.Mark, 1)...))
			case NAT:
				c.rules = append(c.rules, translation(t, m.opt.Mark, m.opt.oneLookup))
			default:
				// ip saddr @door4_ssh accept
				c.rules = append(c.rules, append(source(t), verdict(expr.VerdictAccept)))
			}
		}
	}
	if m.opt.Mode == Guard {
		// counter drop
		c.rules = append(c.rules, rule{&expr.Counter{}, verdict(expr.VerdictDrop)})
	}
	return c
}

// guardPriority is before `filter`, where iptables, ufw and most rulesets
// stand: a drop cannot be undone after it.
const guardPriority = -10

// guardChain begins the guard. Each hook has a chain of its own name, so
// that one can take over from the other without a gap.
func (m *model) guardChain() *chain {
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
		append(goesOn(), verdict(expr.VerdictReturn)),
	}
	if m.opt.Hook == Prerouting {
		// fib daddr type != local accept
		c.rules = append(c.rules, append(forwarded(), verdict(expr.VerdictAccept)))
	}
	// meta l4proto . th dport vmap @guard_ports
	c.rules = append(c.rules, portMap(m.ports.Name))
	return c
}

func (m *model) markChain() *chain {
	// type filter hook prerouting priority mangle; policy accept;
	c := baseChain(m.opt.Table, "mark_prerouting", nftables.ChainHookPrerouting, *nftables.ChainPriorityMangle)
	// ct state new meta l4proto . th dport vmap @mark_ports
	c.rules = []rule{append(state(expr.CtStateBitNEW), portMap(m.ports.Name)...)}
	return c
}

func baseChain(t Table, name string, hook *nftables.ChainHook, priority nftables.ChainPriority) *chain {
	accept := nftables.ChainPolicyAccept
	return &chain{nf: &nftables.Chain{
		Name: name, Table: t.nf(), Type: nftables.ChainTypeFilter,
		Hooknum: hook, Priority: &priority, Policy: &accept,
	}}
}

func (m *model) chain(name string) *chain {
	if i := slices.IndexFunc(m.chains, func(c *chain) bool { return c.nf.Name == name }); i >= 0 {
		return m.chains[i]
	}
	return nil
}

func (m *model) set(name string) *target {
	if i := slices.IndexFunc(m.sets, func(t *target) bool { return t.name == name }); i >= 0 {
		return m.sets[i]
	}
	return nil
}
