package nft

import (
	"slices"
	"time"

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
	// trial leads to the chains of ports that are closed for a time only; nil:
	// there are none.
	trial  *nftables.Set
	timed  []route       // the elements of trial
	remain time.Duration // of their time
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

func (r route) element(timeout time.Duration) nftables.SetElement {
	return nftables.SetElement{
		Timeout:     timeout,
		Key:         portKey(uint8(r.Proto), r.First),
		KeyEnd:      portKey(uint8(r.Proto), r.Last),
		VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: r.chain},
	}
}

// newModel designs the table of a mode that has one, for the ports to look at.
func newModel(o *Options, doors []*spec, c cover) *model {
	m := &model{opt: o, doors: doors, segments: slices.Concat(c.lasting, c.timed), ports: portsMap(o)}
	for _, d := range doors {
		m.sets = append(m.sets, d.targets()...)
	}
	for i, s := range m.segments {
		chain := m.portChain(s)
		m.chains = append(m.chains, chain)
		r := route{s.PortRange, chain.nf.Name}
		if i >= len(c.lasting) {
			m.timed = append(m.timed, r)
		}
		if i < len(c.lasting) || c.confirmed {
			m.routes = append(m.routes, r)
		}
	}
	if len(m.timed) > 0 {
		m.trial, m.remain = trialMap(o), atLeast(c.remain)
	}
	m.chains = append(m.chains, o.Mode.chains(m)...)
	m.base = m.chains[len(m.chains)-1]
	return m
}

// verdictMap is a map from ports to chains with what is to be in it.
type verdictMap struct {
	set    *nftables.Set
	routes []route
	remain time.Duration // of the elements' time; 0: they stay
}

func (m *model) maps() []verdictMap {
	all := []verdictMap{{set: m.ports, routes: m.routes}}
	if m.trial != nil {
		all = append(all, verdictMap{m.trial, m.timed, m.remain})
	}
	return all
}

// hasMap reports whether a map from ports to chains bears a name.
func (m *model) hasMap(name string) bool {
	return name == m.ports.Name || m.trial != nil && name == m.trial.Name
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

// portChain returns the chain for packets to a range of ports: through the sets
// of all doors that open them, and to the end if the mode closes ports.
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
