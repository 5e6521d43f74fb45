package nft

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// unusedSets finds sets that no rule asks.
func (f *Firewall) unusedSets(specs []*spec) (doubts []event.Event) {
	chains, err := f.k.chains()
	if err != nil {
		return []event.Event{event.Fault{Err: fmt.Errorf("whether rules refer to the sets was not examined: list the chains: %w", reason(err))}}
	}
	seen := map[knock.SetName]bool{}
	for _, s := range specs {
		for _, t := range s.targets() {
			name := knock.SetName{Table: t.table, Name: t.name}
			if seen[name] {
				continue
			}
			seen[name] = true
			used, err := f.isUsed(name, chains)
			if err != nil {
				doubts = append(doubts, event.Fault{Err: fmt.Errorf("set %s: whether a rule refers to it was not examined: %w", name, err)})
			} else if !used {
				doubts = append(doubts, event.SetUnused{Door: s.DoorID, Set: name.String(), Table: t.table.String(), Rule: t.example(s)})
			}
		}
	}
	return doubts
}

func (f *Firewall) isUsed(name knock.SetName, chains []*nftables.Chain) (bool, error) {
	for _, c := range chains {
		if TableOf(c.Table) != name.Table {
			continue
		}
		rules, err := f.k.rules(c)
		if err != nil {
			return false, reason(err)
		}
		for _, r := range rules {
			if refers(r.Exprs, name.Name) {
				return true, nil
			}
		}
	}
	return false, nil
}

func refers(exprs []expr.Any, set string) bool {
	for _, e := range exprs {
		if l, ok := e.(*expr.Lookup); ok && l.SetName == set {
			return true
		}
	}
	return false
}

// example returns a rule that would ask the set.
func (t *target) example(s *spec) string {
	ip := "ip"
	if t.v6 {
		ip = "ip6"
	}
	first := s.Ports[0]
	ports := fmt.Sprint(first.First)
	if first.Last > first.First {
		ports = fmt.Sprintf("%d-%d", first.First, first.Last)
	}
	switch t.kind {
	case keyAddrPort:
		return fmt.Sprintf("%s saddr . %s dport @%s accept", ip, first.Proto, t.name)
	case keyAddrProtoPort:
		return fmt.Sprintf("%s saddr . meta l4proto . th dport @%s accept", ip, t.name)
	}
	return fmt.Sprintf("%s dport %s %s saddr @%s accept", first.Proto, ports, ip, t.name)
}
