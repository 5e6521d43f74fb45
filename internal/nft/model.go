package nft

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"knockd/internal/knock"
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

// newModel designs the table of a mode that has one; segments are the ports to
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
	m.chains = append(m.chains, o.Mode.chains(m)...)
	m.base = m.chains[len(m.chains)-1]
	return m
}

// portsMap: map guard_ports { type inet_proto . inet_service : verdict;
// flags interval; comment "knockd:ports"; }
func portsMap(o *Options) *nftables.Set {
	return &nftables.Set{
		Table: nfTable(o.Table), Name: mapName(o.Mode), IsMap: true, Interval: true, Concatenation: true,
		KeyType:  nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService),
		DataType: nftables.TypeVerdict, Comment: marker + "ports",
	}
}

// portChain is where the packets to a range of ports go: through the sets of
// all doors that open them, and to the end if the mode closes ports.
func (m *model) portChain(s segment) *chain {
	c := &chain{nf: &nftables.Chain{Name: chainName(m.opt.Mode, s.PortRange), Table: nfTable(m.opt.Table)}}
	for _, d := range s.doors {
		for _, t := range d.targets() {
			c.rules = append(c.rules, m.opt.Mode.open(t, m.opt))
		}
	}
	if m.opt.Mode.closes {
		// counter drop
		c.rules = append(c.rules, rule{&expr.Counter{}, verdict(expr.VerdictDrop)})
	}
	return c
}

func baseChain(t knock.Table, name string, hook *nftables.ChainHook, priority nftables.ChainPriority) *chain {
	accept := nftables.ChainPolicyAccept
	return &chain{nf: &nftables.Chain{
		Name: name, Table: nfTable(t), Type: nftables.ChainTypeFilter,
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
