package ruleset

import (
	"slices"
	"strings"

	"knockd/internal/knock"
)

// sieveFrom is from how many ports on a tree of chains comes before the rules,
// and multiportSize how many ports a rule can compare.
const (
	sieveFrom     = 30
	multiportSize = 15
)

// sieve writes the rules that let packets to all other ports go on at once,
// and returns the chain for the rest. Few ports need none: rules are compared
// one by one, so the time for a packet that is no knock would grow with the
// number of doors; through a tree it grows with its logarithm.
func (t *ipt) sieve() string {
	ports := map[knock.Protocol][]PortRange{}
	n := 0
	for _, proto := range []knock.Protocol{knock.TCP, knock.UDP} {
		ports[proto] = t.ports(proto)
		n += slots(ports[proto])
	}
	if n <= sieveFrom {
		return EntryChain
	}
	list := EntryChain + "-PORTS"
	t.note("Most packets are for other ports: a few comparisons, and they go on.")
	for _, proto := range []knock.Protocol{knock.TCP, knock.UDP} {
		if len(ports[proto]) > 0 {
			t.rule(EntryChain, "-p", proto.String(), "-g", EntryChain+"-"+strings.ToUpper(proto.String()))
		}
	}
	t.stray(EntryChain)
	t.rule(EntryChain, "-j RETURN")
	for _, proto := range []knock.Protocol{knock.TCP, knock.UDP} {
		if len(ports[proto]) > 0 {
			t.branch(EntryChain+"-"+strings.ToUpper(proto.String()), list, ports[proto])
		}
	}
	return list
}

// branch writes a chain that leads packets to some ports to the list.
func (t *ipt) branch(chain, list string, ports []PortRange) {
	proto := ports[0].Proto.String()
	if slots(ports) <= multiportSize {
		var names []string
		for _, r := range ports {
			names = append(names, r.ports(":"))
		}
		t.rule(chain, "-p", proto, "-m multiport --dports", strings.Join(names, ","), "-g", list)
		t.stray(chain)
		t.rule(chain, "-j RETURN")
		return
	}
	groups := slices.Collect(slices.Chunk(ports, (len(ports)+3)/4))
	for i, g := range groups {
		reach := PortRange{g[0].Proto, g[0].Low, g[len(g)-1].Top}
		t.rule(chain, iptPort(reach.Proto, reach.ports(":")), "-g", chain+string(rune('A'+i)))
	}
	t.stray(chain)
	t.rule(chain, "-j RETURN")
	for i, g := range groups {
		t.branch(chain+string(rune('A'+i)), list, g)
	}
}

// slots is how many of a rule's places for ports some ranges take.
func slots(ports []PortRange) (n int) {
	for _, r := range ports {
		if n++; r.Low != r.Top {
			n++
		}
	}
	return n
}

// ports returns the ports of one protocol that the ruleset is about, in order,
// neighbours joined.
func (t *ipt) ports(proto knock.Protocol) []PortRange {
	var all []PortRange
	for _, s := range steps(t.in(t.f)) {
		if s.Proto == proto {
			all = append(all, PortRange{proto, s.Port, s.Port})
		}
	}
	for _, s := range t.spans(proto) {
		all = append(all, s.PortRange)
	}
	slices.SortFunc(all, func(a, b PortRange) int { return int(a.Low) - int(b.Low) })
	var out []PortRange
	for _, r := range all {
		if n := len(out); n > 0 && int(r.Low) <= int(out[n-1].Top)+1 {
			out[n-1].Top = max(out[n-1].Top, r.Top)
		} else {
			out = append(out, r)
		}
	}
	return out
}
