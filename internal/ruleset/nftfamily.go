package ruleset

import (
	"fmt"
	"slices"
	"strings"

	"knockd/internal/knock"
)

// family writes the chains that decide about knocks of one family.
func (n *nft) family(f family) {
	doors := n.in(f)
	if len(doors) == 0 {
		return
	}
	n.visible(doors, f)
	n.entry(doors, f)
	if n.anyStrict() {
		n.strays(doors, f)
	}
	for _, d := range doors {
		n.door(d, f)
	}
	n.starts(doors, f)
}

// visible writes the chain that finds out whether a door could use a packet,
// and returns if so. (Every chain is entered from as few rules as can be: the
// kernel checks a chain once for each of them.)
func (n *nft) visible(doors []*door, f family) {
	elements := map[condition][]string{}
	var order []condition
	for _, d := range doors {
		for _, s := range d.Sequence {
			c := d.condition(s, f)
			if elements[c] == nil {
				order = append(order, c)
			}
			e := stepName(s)
			if c.destination {
				e = d.Target.String() + " . " + e
			}
			if !slices.Contains(elements[c], e) {
				elements[c] = append(elements[c], e)
			}
		}
	}
	n.printf("  chain k_knock_%d {\n    jump k_visible_%d\n    goto k_go_%d\n  }\n", f, f, f)
	n.printf("  # IPv%d: if it is visible to some door go on; else it does not exist\n  chain k_visible_%d {\n", f, f)
	for _, c := range order {
		key, local := "meta l4proto . th dport", "fib daddr type local"
		if c.destination {
			key, local = f.daddr()+" . "+key, ""
		}
		n.line("    ", key, "{ "+strings.Join(elements[c], ", ")+" }", local, c.flags, c.source, "return")
	}
	if n.anyStrict() {
		n.printf("    %s != @k_live_%d goto k_end\n", f.saddr(), f)
		if n.anyTCP(doors) {
			n.printf("    meta l4proto tcp %s @k_seen_%d return\n", f.tuple(), f)
		}
		n.printf("    jump k_stray_%d\n", f)
	}
	n.printf("    goto k_end\n  }\n\n")
}

// entry writes what every visible packet passes.
func (n *nft) entry(doors []*door, f family) {
	n.printf("  chain k_go_%d {\n", f)
	if n.anyTCP(doors) {
		n.printf("    meta l4proto tcp %s @k_seen_%d goto k_again_%d\n", f.tuple(), f, f)
	}
	n.printf("    %s != @k_live_%d goto k_start_%d\n", f.saddr(), f, f)
	n.printf("    jump k_live_%d\n    goto k_step_%d\n  }\n", f, f)
	n.printf("  # a packet sent again: renew it, decide nothing\n")
	n.printf("  chain k_again_%d {\n    update @k_seen_%d { %s }\n  }\n\n", f, f, f.tuple())
	n.live(doors, f)
}

func (n *nft) anyTCP(doors []*door) bool { return len(ofProtocol(steps(doors), knock.TCP)) > 0 }

// live writes the chains for a source that may have attempts.
func (n *nft) live(doors []*door, f family) {
	n.printf("  # is the source in the middle of a sequence? Then go on; else it may start\n")
	n.printf("  chain k_live_%d {\n", f)
	for _, d := range doors {
		if d.last() > 1 {
			n.line("    ", n.destination(d, f), f.saddr(), "@"+d.stage(1, f), "return")
		}
	}
	n.printf("    jump k_start_%d\n    goto k_end\n  }\n", f)
	n.printf("  # all its attempts take the packet, no new one starts\n  chain k_step_%d {\n", f)
	for _, d := range doors {
		if d.last() > 1 {
			n.line("    ", n.destination(d, f), f.saddr(), "@"+d.stage(1, f), "jump", d.chain("step", f))
		}
	}
	n.printf("  }\n\n")
}

// destination returns the match of a door's destination. If no door names
// one, every visible packet is for this host.
func (n *nft) destination(d *door, f family) string {
	switch {
	case d.Target.IsValid():
		return f.daddr() + " " + d.Target.String()
	case n.anyTarget():
		return "fib daddr type local"
	}
	return ""
}

// door writes the chains that take a packet through a door's sequence. The
// highest stage comes first, so that a packet takes one step at most.
func (n *nft) door(d *door, f family) {
	n.printf("  # %s, IPv%d\n", printable(d.describe()), f)
	if d.last() > 1 {
		n.printf("  chain %s {\n", d.chain("step", f))
		if m := flagMatch(d.Flags); m != "" {
			n.line("    ", "meta l4proto tcp", strings.Replace(m, "==", "!=", 1), "return")
		}
		for k := d.last() - 1; k > 1; k-- {
			n.printf("    %s @%s goto %s\n", f.saddr(), d.stage(k, f), d.chain(fmt.Sprintf("at%d", k), f))
		}
		n.at(d, 1, f)
		for k := 2; k < d.last(); k++ {
			n.printf("  chain %s {\n", d.chain(fmt.Sprintf("at%d", k), f))
			n.at(d, k, f)
		}
		n.printf("  chain %s {\n", d.chain("fail", f))
		n.line("    ", d.forget(1, f))
		n.printf("  }\n")
	}
	for k := 1; k <= d.last(); k++ {
		n.took(d, k, f)
	}
	n.printf("\n")
}

// at writes the rest of a chain for those who have done k steps.
func (n *nft) at(d *door, k int, f family) {
	next := d.Sequence[k]
	n.line("    ", dport(next), n.reach(d, k+1, f), "goto", d.chain(fmt.Sprintf("took%d", k+1), f))
	if done := d.Sequence[k-1]; d.ForgiveRepeats && done != next {
		n.line("    ", dport(done), "return")
	}
	n.spare(d)
	n.printf("    goto %s\n  }\n", d.chain("fail", f))
}

// spare writes the rules for what a strict door does not look at.
func (n *nft) spare(d *door) {
	for _, r := range d.spared() {
		n.line("    ", r.Proto.String(), "dport", r.Numbers("-"), "return")
	}
}

// reach returns the statements that bring the source to stage k.
func (n *nft) reach(d *door, k int, f family) string {
	if k < d.last() {
		return fmt.Sprintf("add @%s { %s }", d.stage(k, f), f.saddr())
	}
	parts := []string{d.forget(1, f)}
	if len(d.Open) > 0 {
		op := "update" // a second knock prolongs
		if d.CmdTimeout == 0 {
			op = "add"
		}
		parts = append(parts, fmt.Sprintf("%s @%s { %s }", op, d.openSet(f), d.opened(f)))
	}
	for _, c := range d.closes {
		if slices.Contains(n.in(f), c) {
			parts = append(parts, remove(c.openSet(f), c.opened(f)))
		}
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// remove returns the statements that take an element out of a set. Said once
// it may hit an element of the same key whose time is over and which the
// kernel has not yet collected, and leave the one that lives (seen on 6.18).
func remove(set, key string) string {
	s := fmt.Sprintf("delete @%s { %s }", set, key)
	return s + " " + s
}

// forget returns the statements that take the source out of all stages from
// k on. To delete what is not there does no harm.
func (d *door) forget(k int, f family) string {
	var parts []string
	for ; k < d.last(); k++ {
		parts = append(parts, remove(d.stage(k, f), f.saddr()))
	}
	return strings.Join(parts, " ")
}

// took writes the chain for a step just taken. It is a chain of its own
// because a full set or a limit ends a rule, and a decision must not hang on
// the memory of repeats or on the log.
func (n *nft) took(d *door, k int, f family) {
	n.printf("  chain %s {\n", d.chain(fmt.Sprintf("took%d", k), f))
	if d.Sequence[k-1].Proto == knock.TCP {
		n.printf("    update @k_seen_%d { %s }\n", f, f.tuple())
	}
	n.printf("    goto k_%s_log%d\n  }\n", d.id, k)
}

// starts writes the chains in which a source without attempts begins.
func (n *nft) starts(doors []*door, f family) {
	first := map[knock.Step][]*door{}
	var order []knock.Step
	for _, d := range doors {
		first[d.Sequence[0]] = append(first[d.Sequence[0]], d)
		order = append(order, d.Sequence[0])
	}
	order = sortSteps(order)
	var elements []string
	for _, s := range order {
		elements = append(elements, fmt.Sprintf("%s : goto %s", stepName(s), startChain(s, f)))
	}
	n.printf("  # IPv%d: every door that begins with this step starts\n  chain k_start_%d {\n", f, f)
	n.printf("    meta l4proto . th dport vmap { %s }\n  }\n", strings.Join(elements, ", "))
	for _, s := range order {
		n.printf("  chain %s {\n", startChain(s, f))
		for _, d := range first[s] {
			n.start(d, f)
		}
		n.printf("  }\n")
	}
	n.printf("\n")
}

func startChain(s knock.Step, f family) string {
	return fmt.Sprintf("k_start_%s_%d_%d", s.Proto, s.Port, f)
}

// start writes the rule that begins an attempt at a door.
func (n *nft) start(d *door, f family) {
	c := d.condition(d.Sequence[0], f)
	act := n.reach(d, 1, f)
	if d.last() > 1 {
		// The clock first: while a flood keeps it full nothing else fills.
		act = strings.TrimSpace(fmt.Sprintf("%s %s update @k_live_%d { %s }", d.forget(2, f), act, f, f.saddr()))
	}
	n.line("    ", n.destination(d, f), c.flags, c.source, act, "jump", d.chain("took1", f))
}

// strays writes the chains that fail attempts at strict doors.
func (n *nft) strays(doors []*door, f family) {
	n.printf("  # IPv%d: a port that is in no sequence fails the attempts at strict doors\n  chain k_stray_%d {\n", f, f)
	var strict []*door
	for _, d := range doors {
		if !d.Strict || d.last() < 2 {
			continue
		}
		strict = append(strict, d)
		local := "fib daddr type local"
		if d.Target.IsValid() {
			local = f.daddr() + " " + d.Target.String()
		}
		n.line("    ", local, f.saddr(), "@"+d.stage(1, f), "jump", d.chain("stray", f))
	}
	n.printf("  }\n")
	for _, d := range strict {
		n.printf("  chain %s {\n", d.chain("stray", f))
		n.line("    ", "meta l4proto tcp", strings.Replace(flagMatch(d.Flags), "==", "!=", 1), "return")
		n.spare(d)
		n.printf("    goto %s\n  }\n", d.chain("fail", f))
	}
	n.printf("\n")
}
