package nft

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
)

// tableState is what a table looks like now.
type tableState struct {
	generation uint32
	table      *nftables.Table // nil if there is none
	ours       bool
	chains     map[string]*nftables.Chain
	rules      map[string][]*nftables.Rule
	sets       map[string]*nftables.Set
	elements   map[string][]nftables.SetElement
}

// readTable reads a table, and all that is in it if it is ours. With claim it
// is ours whatever is in it.
func readTable(k kernel, t knock.Table, claim bool) (*tableState, error) {
	s := &tableState{
		chains: map[string]*nftables.Chain{}, rules: map[string][]*nftables.Rule{},
		sets: map[string]*nftables.Set{}, elements: map[string][]nftables.SetElement{},
		ours: claim,
	}
	var err error
	if s.generation, err = k.generation(); err != nil {
		return nil, fmt.Errorf("read the rules' generation: %w", reason(err))
	}
	if s.table, err = findTable(k, t); err != nil || s.table == nil {
		return s, err
	}
	if err := s.readInside(k, t); err != nil {
		return nil, fmt.Errorf("read table %s: %w", t, reason(err))
	}
	return s, nil
}

func listTables(k kernel) ([]*nftables.Table, error) {
	tables, err := k.tables()
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", reason(err))
	}
	return tables, nil
}

func findTable(k kernel, t knock.Table) (*nftables.Table, error) {
	tables, err := listTables(k)
	if err != nil {
		return nil, err
	}
	for _, have := range tables {
		if TableOf(have) == t {
			return have, nil
		}
	}
	return nil, nil
}

func (s *tableState) readInside(k kernel, t knock.Table) error {
	chains, err := k.chains()
	if err != nil {
		return err
	}
	for _, c := range chains {
		if TableOf(c.Table) == t {
			s.chains[c.Name] = c
		}
	}
	sets, err := k.sets(s.table)
	if err != nil {
		return err
	}
	for _, set := range sets {
		s.sets[set.Name] = set
		s.ours = s.ours || isPortsMap(set)
	}
	// An empty table is anybody's.
	s.ours = s.ours || len(s.chains)+len(s.sets) == 0
	if !s.ours {
		return nil
	}
	return s.readContents(k)
}

// isPortsMap reports whether a set is the map by which our tables are known.
func isPortsMap(s *nftables.Set) bool { return s.IsMap && strings.HasPrefix(s.Comment, marker) }

func (s *tableState) readContents(k kernel) (err error) {
	for name, c := range s.chains {
		if s.rules[name], err = k.rules(c); err != nil {
			return err
		}
	}
	for name, set := range s.sets {
		if s.elements[name], err = listSet(k, set); err != nil {
			return err
		}
	}
	return nil
}

// routes returns the elements of a map of ports.
func (s *tableState) routes(name string) map[route]nftables.SetElement {
	routes := map[route]nftables.SetElement{}
	for _, e := range s.elements[name] {
		if len(e.Key) != 8 {
			continue
		}
		if len(e.KeyEnd) != 8 {
			e.KeyEnd = e.Key
		}
		r := route{chain: verdictChain(e.Val)}
		r.Proto = knock.Protocol(e.Key[0])
		r.First, r.Last = binary.BigEndian.Uint16(e.Key[4:]), binary.BigEndian.Uint16(e.KeyEnd[4:])
		routes[r] = e
	}
	return routes
}

// verdictChain returns the chain that a map's verdict leads to by goto; "" if
// it is another verdict.
func verdictChain(b []byte) string {
	if v := decodeVerdict(b); v != nil && v.Kind == expr.VerdictGoto {
		return v.Chain
	}
	return ""
}

// sameRules reports whether a chain's rules do what they should.
func sameRules(have []*nftables.Rule, want []rule) bool {
	if len(have) != len(want) {
		return false
	}
	for i, r := range have {
		if !sameExprs(r.Exprs, want[i]) {
			return false
		}
	}
	return true
}

func sameExprs(have, want []expr.Any) bool {
	if len(have) != len(want) {
		return false
	}
	for i := range have {
		a, errA := expr.Marshal(unix.NFPROTO_INET, withoutVolatile(have[i]))
		b, errB := expr.Marshal(unix.NFPROTO_INET, withoutVolatile(want[i]))
		if cmp.Or(errA, errB) != nil || !bytes.Equal(a, b) {
			return false
		}
	}
	return true
}

// withoutVolatile returns an expression without what changes by itself.
func withoutVolatile(e expr.Any) expr.Any {
	switch e := e.(type) {
	case *expr.Counter:
		return &expr.Counter{}
	case *expr.Lookup:
		c := *e
		c.SetID = 0
		return &c
	}
	return e
}

// sameBase reports whether a base chain hangs where it should.
func sameBase(have, want *nftables.Chain) bool {
	if have == nil || (have.Hooknum == nil) != (want.Hooknum == nil) {
		return false
	}
	return want.Hooknum == nil ||
		*have.Hooknum == *want.Hooknum && *have.Priority == *want.Priority && have.Type == want.Type
}

// sameSet reports whether a set of ours can hold the elements of a target.
func sameSet(have *nftables.Set, want *target) bool {
	return have.KeyType.Name == want.keyType().Name && have.HasTimeout && have.Timeout == 0 && have.IsMap == want.nat && !have.Interval
}

// samePorts reports whether a set is a map of ports as ours.
func samePorts(have, want *nftables.Set) bool {
	return have != nil && isPortsMap(have) && have.Interval && have.HasTimeout == want.HasTimeout && have.KeyType.Name == want.KeyType.Name
}
