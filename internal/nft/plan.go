package nft

import (
	"maps"
	"slices"

	"github.com/google/nftables"
)

// batch is the steps of one transaction, in order.
type batch []func(*nftables.Conn) error

func (b *batch) add(step func(c *nftables.Conn)) {
	*b = append(*b, func(c *nftables.Conn) error { step(c); return nil })
}

func (b batch) run(c *nftables.Conn) error {
	for _, step := range b {
		if err := step(c); err != nil {
			return err
		}
	}
	return nil
}

// plan finds the transaction that turns a table into a model.
//
// The kernel makes all of a transaction valid at one moment, but a packet
// that is under way at that moment may be judged by one base chain before and
// by another after it, and then pass both. Therefore a base chain and the
// elements that lead from it are never made anew while they can stay, and
// when a base chain takes over from another, the old one goes only with the
// next transaction (takeover).
type plan struct {
	*model
	was      *tableState
	flags    nftables.TableFlags
	addTable bool
	takeover bool
	more     bool            // another transaction has to follow
	rewrite  map[string]bool // chains whose rules are written again
	remake   map[string]bool // sets that are removed and made again
	lost     map[string][]nftables.SetElement
	batch
}

// newPlan returns the steps. An owner of 0 asks for a table without one; lost
// are elements that should be in a set and are not.
func newPlan(m *model, was *tableState, owner uint32, lost map[string][]nftables.SetElement) *plan {
	p := &plan{model: m, was: was, lost: lost, rewrite: map[string]bool{}, remake: map[string]bool{}}
	p.addTable = was.table == nil || was.table.Flags&nftables.TableFlagDormant != 0
	if owner != 0 {
		p.flags = nftables.TableFlagOwner | nftables.TableFlagPersist
		p.addTable = p.addTable || was.table.Owner != owner
	}
	if p.addTable && was.table != nil && p.needsBase() {
		// The kernel makes no base chain in the transaction that changes the
		// flags of its table (nf_tables_addchain, __NFT_TABLE_F_UPDATE).
		p.table()
		p.more = true
		return p
	}
	p.takeover = was.chains[m.base.nf.Name] == nil && p.hasOtherBase()
	p.compare()
	p.more = p.takeover
	p.table()
	p.clear()
	p.makeSets()
	p.makeChains()
	p.makeRoutes()
	p.sweep()
	p.restore()
	return p
}

// needsBase reports whether a base chain has to be made.
func (p *plan) needsBase() bool {
	return slices.ContainsFunc(p.chains, func(c *chain) bool {
		return c.nf.Hooknum != nil && !sameBase(p.was.chains[c.nf.Name], c.nf)
	})
}

func (p *plan) hasOtherBase() bool {
	for name, c := range p.was.chains {
		if c.Hooknum != nil && name != p.base.nf.Name {
			return true
		}
	}
	return false
}

// compare finds out which chains and sets must be written again.
func (p *plan) compare() {
	for _, t := range p.sets {
		if have := p.was.sets[t.name]; have != nil && !sameSet(have, t) && !p.takeover {
			p.remake[t.name] = true
		}
	}
	for _, m := range p.maps() {
		if have := p.was.sets[m.set.Name]; have != nil && !samePorts(have, m.set) {
			p.remake[m.set.Name] = true
		}
	}
	// What must go has to be freed of all references now.
	p.takeover = p.takeover && len(p.remake) == 0
	for _, c := range p.chains {
		have := p.was.chains[c.nf.Name]
		if have == nil || len(p.remake) > 0 || !sameRules(p.was.rules[c.nf.Name], c.rules) || !sameBase(have, c.nf) {
			p.rewrite[c.nf.Name] = true
		}
	}
}

func (p *plan) table() {
	if p.addTable {
		t := nfTable(p.opt.Table)
		t.Flags = p.flags
		// add table inet knockd { flags owner,persist; }
		p.add(func(c *nftables.Conn) { c.AddTable(t) })
	}
}

// clear takes away what is to be written again, and all references to it.
func (p *plan) clear() {
	for _, name := range sorted(p.was.chains) {
		have := p.was.chains[name]
		want := p.chain(name)
		if want == nil && p.takeover || want != nil && !p.rewrite[name] {
			continue
		}
		// flush chain inet knockd guard_tcp_22
		p.add(func(c *nftables.Conn) { c.FlushChain(have) })
		if want != nil && !sameBase(have, want.nf) {
			p.add(func(c *nftables.Conn) { c.DelChain(have) })
		}
	}
	for _, name := range sorted(p.remake) {
		have := p.was.sets[name]
		p.add(func(c *nftables.Conn) { c.DelSet(have) })
	}
}

func (p *plan) makeSets() {
	for _, t := range p.sets {
		if p.was.sets[t.name] != nil && !p.remake[t.name] {
			continue
		}
		keep := stillOpen(p.was.elements[t.name])
		// add set inet knockd door4_ssh { type ipv4_addr; flags timeout; ... }
		p.batch = append(p.batch, func(c *nftables.Conn) error { return c.AddSet(t.nf(), keep) })
	}
	for _, m := range p.maps() {
		if p.was.sets[m.set.Name] == nil || p.remake[m.set.Name] {
			set := *m.set
			p.batch = append(p.batch, func(c *nftables.Conn) error { return c.AddSet(&set, nil) })
		}
	}
}

// stillOpen returns elements as they are to be added again: with the time
// that is left as their timeout.
func stillOpen(elements []nftables.SetElement) []nftables.SetElement {
	var keep []nftables.SetElement
	for _, e := range elements {
		if e.Timeout != 0 || e.Expires != 0 {
			e.Timeout = atLeast(e.Expires)
		}
		keep = append(keep, nftables.SetElement{Key: e.Key, Val: e.Val, Timeout: e.Timeout, Comment: e.Comment})
	}
	return keep
}

// makeChains adds chains and rules; the base chain comes last.
func (p *plan) makeChains() {
	for _, want := range p.chains {
		have := p.was.chains[want.nf.Name]
		badPolicy := have != nil && have.Policy != nil && *have.Policy != nftables.ChainPolicyAccept
		if !sameBase(have, want.nf) || badPolicy {
			p.add(func(c *nftables.Conn) { c.AddChain(want.nf) })
		}
	}
	for _, want := range p.chains {
		if !p.rewrite[want.nf.Name] {
			continue
		}
		for _, r := range want.rules {
			p.add(func(c *nftables.Conn) {
				c.AddRule(&nftables.Rule{Table: want.nf.Table, Chain: want.nf, Exprs: r})
			})
		}
	}
}

// makeRoutes changes those elements of the maps of ports that differ.
func (p *plan) makeRoutes() {
	for _, m := range p.maps() {
		have := p.was.routes(m.set.Name)
		if p.remake[m.set.Name] {
			have = nil
		}
		var old, fresh []nftables.SetElement
		for r, e := range have {
			if !slices.Contains(m.routes, r) || !sameTime(e, m.remain) {
				old = append(old, nftables.SetElement{Key: e.Key, KeyEnd: e.KeyEnd})
			}
		}
		for _, r := range m.routes {
			if e, ok := have[r]; !ok || !sameTime(e, m.remain) {
				fresh = append(fresh, r.element(m.remain))
			}
		}
		if len(old) > 0 {
			p.batch = append(p.batch, func(c *nftables.Conn) error { return c.SetDeleteElements(m.set, old) })
		}
		if len(fresh) > 0 {
			// add element inet knockd guard_ports { tcp . 22 : goto guard_tcp_22 }
			p.batch = append(p.batch, func(c *nftables.Conn) error { return c.SetAddElements(m.set, fresh) })
		}
	}
}

// sweep removes what the model does not know.
func (p *plan) sweep() {
	if p.takeover {
		return
	}
	// Maps first: their elements refer to chains.
	var others []*nftables.Set
	for _, name := range sorted(p.was.sets) {
		if set := p.was.sets[name]; p.set(name) == nil && !p.hasMap(name) && !set.Anonymous {
			others = append(others, set)
		}
	}
	for _, set := range others {
		p.add(func(c *nftables.Conn) { c.DelSet(set) })
	}
	for _, name := range sorted(p.was.chains) {
		if have := p.was.chains[name]; p.chain(name) == nil {
			p.add(func(c *nftables.Conn) { c.DelChain(have) })
		}
	}
}

func (p *plan) restore() {
	for _, t := range p.sets {
		if lost := p.lost[t.name]; len(lost) > 0 {
			p.batch = append(p.batch, func(c *nftables.Conn) error { return c.SetAddElements(t.nf(), lost) })
		}
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
