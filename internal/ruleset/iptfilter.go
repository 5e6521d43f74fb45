package ruleset

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"knockd/internal/knock"
)

// treeFrom is from how many ports on a tree of chains comes before the rules
// about them, and multiportSize how many ports a rule can compare.
const (
	treeFrom      = 30
	multiportSize = 15
)

func (t *ipt) treeFrom() int { return cmp.Or(t.opt.treeFrom, treeFrom) }

// portTree takes packets through a few comparisons to a chain about their port
// and a few others: rules are compared one by one, so that the time for a
// packet would grow with the number of doors; through a tree of two levels it
// grows with its root. (Chains may call no deeper than 16 with nf_tables.)
type portTree struct {
	*ipt
	// leaf writes the rules of a chain for some ports, of one protocol.
	leaf func(chain string, ports []knock.PortRange)
	// rest ends a chain for packets to all other ports.
	rest func(chain string)
}

// write writes a chain for the ports of both protocols.
func (t *portTree) write(chain string, ports map[knock.Protocol][]knock.PortRange) {
	for _, proto := range protocols {
		if len(ports[proto]) > 0 {
			t.rule(chain, "-p", proto.String(), "-g", branchOf(chain, proto))
		}
	}
	t.rest(chain)
	for _, proto := range protocols {
		if len(ports[proto]) > 0 {
			t.branch(branchOf(chain, proto), leavesOf(ports[proto]), 2)
		}
	}
}

func branchOf(chain string, proto knock.Protocol) string {
	return chain + "-" + strings.ToUpper(proto.String())
}

// branch writes a chain that leads to leaves through so many levels of chains.
func (t *portTree) branch(chain string, leaves [][]knock.PortRange, levels int) {
	if len(leaves) == 1 {
		t.leaf(chain, leaves[0])
		t.rest(chain)
		return
	}
	each := 1
	if levels > 1 && len(leaves) > 4 {
		each = int(math.Ceil(math.Sqrt(float64(len(leaves)))))
	}
	parts := slices.Collect(slices.Chunk(leaves, each))
	name := func(i int) string { return fmt.Sprintf("%s-%d", chain, i+1) }
	for i, p := range parts {
		t.jump(chain, slices.Concat(p...), name(i))
	}
	t.rest(chain)
	for i, p := range parts {
		t.branch(name(i), p, levels-1)
	}
}

// jump writes the rule for the packets to some ports, and others between them.
func (t *portTree) jump(chain string, ports []knock.PortRange, to string) {
	reach := knock.PortRange{Proto: ports[0].Proto, First: ports[0].First, Last: ports[len(ports)-1].Last}
	t.rule(chain, iptPort(reach.Proto, reach.Numbers(":")), "-g", to)
}

// leavesOf divides ports into as many as a rule can compare.
func leavesOf(ports []knock.PortRange) (leaves [][]knock.PortRange) {
	start := 0
	for i := range ports {
		if slots(ports[start:i+1]) > multiportSize {
			leaves = append(leaves, ports[start:i])
			start = i
		}
	}
	return append(leaves, ports[start:])
}

// filterKnocks writes the rules that find out which packets are knocks and let
// those to all other ports go on.
func (t *ipt) filterKnocks() {
	ports, n := t.allPorts()
	const what = "A packet that some door could use is a knock. The page compares ports and nothing else;"
	if n <= t.treeFrom() {
		t.note(what, "here the flags that a door's tcpflags ask for count too, and the destination.")
		t.visible(EntryChain, nil)
		t.stray(EntryChain)
		t.rule(EntryChain, "-g", EntryChain+"-END")
		return
	}
	t.note("Most packets are for other ports: a few comparisons, and they go on.", what,
		"here the flags that a door's tcpflags ask for count too, and the destination.")
	tree := &portTree{ipt: t, rest: func(chain string) {
		t.stray(chain)
		t.rule(chain, "-j RETURN")
	}}
	tree.leaf = func(chain string, ports []knock.PortRange) {
		t.visible(chain, ports)
		t.rule(chain, allOf(ports), "-g", EntryChain+"-KNOWN")
	}
	tree.write(EntryChain, ports)
	t.stray(EntryChain + "-KNOWN")
	t.rule(EntryChain+"-KNOWN", "-g", EntryChain+"-END")
}

// allOf matches the ports of a leaf.
func allOf(ports []knock.PortRange) string {
	var names []string
	for _, r := range ports {
		names = append(names, r.Numbers(":"))
	}
	return "-p " + ports[0].Proto.String() + " -m multiport --dports " + strings.Join(names, ",")
}

// visible writes the rules that send knocks on; ports are those that a chain is
// about, nil for all.
func (t *ipt) visible(chain string, ports []knock.PortRange) {
	for _, c := range t.conditions(ports) {
		for _, in := range t.interfaces() {
			for _, src := range c.sources {
				t.rule(chain, in, c.ports, c.flags, c.destination, src, "-g", EntryChain+"-KNOCK")
			}
		}
	}
}

// touch reports whether one of the ranges overlaps another one; nil does.
func touch(ports []knock.PortRange, o knock.PortRange) bool {
	return ports == nil || slices.ContainsFunc(ports, func(r knock.PortRange) bool {
		return r.Proto == o.Proto && r.First <= o.Last && o.First <= r.Last
	})
}

// slots returns how many of a rule's places for ports some ranges take.
func slots(ports []knock.PortRange) (n int) {
	for _, r := range ports {
		if n++; r.First != r.Last {
			n++
		}
	}
	return n
}

// allPorts returns the ports that the ruleset is about, in order and cut
// wherever the rules about them may differ, and how many places they take.
func (t *ipt) allPorts() (ports map[knock.Protocol][]knock.PortRange, n int) {
	all := knock.PortsOf(steps(t.here))
	for _, proto := range protocols {
		for _, s := range t.opened[proto] {
			all = append(all, s.PortRange)
		}
	}
	ports = map[knock.Protocol][]knock.PortRange{}
	for _, proto := range protocols {
		ports[proto] = knock.SplitPorts(all, proto)
		n += slots(ports[proto])
	}
	return ports, n
}
