package ruleset

import (
	"fmt"
	"slices"
	"strings"

	"knockd/internal/knock"
)

// repeatOptions are those of the match that knows a SYN sent again: the same
// source port, destination port and address. The times bound what a flood of
// spoofed addresses can occupy; with the usual ones a second of it shuts
// everybody out for a minute.
const repeatOptions = "--hashlimit-above 1/minute --hashlimit-burst 1 --hashlimit-mode srcip,srcport,dstport" +
	" --hashlimit-htable-expire 5000 --hashlimit-htable-gcinterval 500 --hashlimit-htable-size 65536 --hashlimit-htable-max 262144"

func (t *ipt) repeat() string {
	name := "KNOCK"
	if t.f == ipv6 {
		name += "V6"
	}
	return "-m hashlimit " + repeatOptions + " --hashlimit-name " + name
}

// knock writes the chains that every knock passes.
func (t *ipt) knock() {
	chain, step, start := EntryChain+"-KNOCK", EntryChain+"-STEP", EntryChain+"-START"
	t.note("", "Is the source in the middle of a sequence? Its clock is the list of the first knock, set once:",
		"the whole sequence has to be done in its time. (The page has no such time.)")
	asked, rest := t.byRecency()
	t.clocks(chain, rest, "-g", func(*door) string { return step })
	if len(asked) > 0 {
		t.note("A source whose last knock was long ago has no attempts at the other doors.")
		t.rule(chain, t.recency(asked), "-g", EntryChain+"-AGAIN")
		t.rule(chain, "-g", start)
		chain = EntryChain + "-AGAIN"
		t.clocks(chain, asked, "-g", func(*door) string { return step })
	}
	t.rule(chain, "-g", start)
	t.note("Then all its attempts take the knock, and no new one starts.")
	if tcp := ofProtocol(steps(t.here), knock.TCP); len(tcp) > 0 {
		t.rule(step, "-p tcp", t.repeat(), "-g", EntryChain+"-END")
	}
	t.clocks(step, t.here, "-j", func(d *door) string { return d.id + "-STEP" })
	t.rule(step, "-g", EntryChain+"-END")
	t.note("Else every door starts whose first knock it is.")
	t.starts(start)
}

// clocks writes a rule for each door at which the source has an attempt.
func (t *ipt) clocks(chain string, doors []*door, jump string, to func(*door) string) {
	for _, d := range doors {
		if d.last() > 1 {
			t.rule(chain, t.otherwise(d), t.clock(d), jump, to(d))
		}
	}
}

// starts writes the chain in which a source without attempts begins.
func (t *ipt) starts(start string) {
	var all []knock.Step
	for _, d := range t.here {
		all = append(all, d.Sequence[0])
	}
	all = sortSteps(all)
	first := map[knock.Protocol][]knock.PortRange{}
	n := 0
	for _, proto := range protocols {
		first[proto] = knock.PortsOf(ofProtocol(all, proto))
		n += slots(first[proto])
	}
	rest := func(chain string) { t.rule(chain, "-g", EntryChain+"-END") }
	if n <= t.treeFrom() {
		t.startsAt(start, nil)
		rest(start)
		return
	}
	tree := &portTree{ipt: t, rest: rest, leaf: t.startsAt}
	tree.write(start, first)
}

// startsAt writes the rules that begin attempts on some ports, nil for all.
func (t *ipt) startsAt(chain string, ports []knock.PortRange) {
	var first []knock.Step
	var doors []*door
	for _, d := range t.here {
		if touch(ports, d.Sequence[0].Ports()) {
			first = append(first, d.Sequence[0])
			doors = append(doors, d)
		}
	}
	for _, ports := range multiport(knock.TCP, ofProtocol(sortSteps(first), knock.TCP)) {
		t.rule(chain, ports, t.repeat(), "-g", EntryChain+"-END")
	}
	for _, d := range doors {
		s := d.Sequence[0]
		for _, src := range t.sources(d) {
			t.rule(chain, iptStep(s), iptFlags(d.Flags, s, ""), t.otherwise(d), src, "-j", d.id+"-START")
		}
	}
}

// otherwise matches a door's destination where a visible packet could be for
// another door's.
func (t *ipt) otherwise(d *door) string {
	if t.anyTarget() {
		return t.destination(d)
	}
	return ""
}

// door writes the chains of a door.
func (t *ipt) door(d *door) {
	t.note("", d.describe())
	if d.last() > 1 {
		t.note("Each knock must follow its predecessor; any other of the knock ports resets.")
		if mask, _ := flagMask(d.Flags); mask != 0 {
			t.rule(d.id+"-STEP", "-p tcp -m tcp", iptFlags(d.Flags, knock.Step{Proto: knock.TCP}, "! "), "-j RETURN")
		}
		for k := d.last() - 1; k >= 1; k-- {
			t.step(d, k)
		}
	}
	t.note("The first knock.")
	t.reach(d, 1, d.id+"-START")
	for k := 2; k <= d.last(); k++ {
		if k == d.last() {
			t.note("The last knock opens the door, and clears the lists: the page leaves them, so that",
				"later its last port alone opens the door again.")
		}
		t.reach(d, k, d.inputChain(k))
	}
	if d.last() > 1 {
		t.note("A wrong knock: all from the beginning.")
		for k := 1; k < d.last(); k++ {
			t.rule(d.id+"-RESET", recent("--remove", t.list(d, k)))
		}
	}
}

// step writes the rules for those who have done k knocks.
func (t *ipt) step(d *door, k int) {
	at := ""
	if k > 1 {
		at = recent("--rcheck", t.list(d, k))
	}
	t.rule(d.id+"-STEP", iptStep(d.Sequence[k]), at, "-g", d.inputChain(k+1))
	if d.ForgiveRepeats && d.Sequence[k-1] != d.Sequence[k] {
		t.rule(d.id+"-STEP", iptStep(d.Sequence[k-1]), at, "-j RETURN")
	}
	for _, r := range d.spared() {
		t.rule(d.id+"-STEP", iptPort(r.Proto, r.Numbers(":")), at, "-j RETURN")
	}
	t.rule(d.id+"-STEP", at, "-g", d.id+"-RESET")
}

// reach writes the chain of a knock just done.
func (t *ipt) reach(d *door, k int, chain string) {
	switch {
	case k == d.last():
		for i := 1; i < d.last(); i++ {
			t.rule(chain, recent("--remove", t.list(d, i)))
		}
		if len(d.Open) > 0 {
			t.rule(chain, recent("--set", t.list(d, k)), t.mask(d))
		}
		for _, c := range d.closes {
			if t.has(c) {
				t.rule(chain, recent("--remove", t.list(c, c.last())), t.mask(c))
			}
		}
	case k == 1:
		for i := 2; i < d.last(); i++ {
			t.rule(chain, recent("--remove", t.list(d, i)))
		}
		t.rule(chain, recent("--set", t.list(d, 1)))
	default:
		t.rule(chain, recent("--set", t.list(d, k)))
	}
	limit := ""
	if r := t.opt.stageRate(); r > 0 {
		limit = fmt.Sprintf("-m limit --limit %d/second --limit-burst %d", r, 2*r)
	}
	t.rule(chain, limit, t.log(d.stagePrefix(k)))
	if k == d.last() {
		t.rule(chain, t.log(d.openedPrefix()))
	}
}

func (t *ipt) log(prefix string) string {
	return fmt.Sprintf("-j NFLOG --nflog-group %d --nflog-prefix \"%s\"", t.opt.group(), prefix)
}

// has reports whether a door exists in this family.
func (t *ipt) has(d *door) bool { return slices.Contains(t.here, d) }

// mask returns the option for doors that open more than the knocker's address.
func (t *ipt) mask(d *door) string {
	if n := d.prefix(t.f); n < t.f.bits() {
		return "--mask " + mask(t.f, n)
	}
	return ""
}

// strays writes the chains that fail attempts at strict doors.
func (t *ipt) strays() {
	if !t.anyStrict() {
		return
	}
	chain := EntryChain + "-STRAY"
	t.note("", "Any other port resets the attempts at strict doors.")
	for _, d := range t.here {
		if d.Strict && d.last() > 1 {
			t.rule(chain, "-p tcp -m tcp", iptFlags(d.Flags, knock.Step{Proto: knock.TCP}, ""), t.destination(d), t.clock(d), "-j", d.id+"-STRAY")
			t.rule(chain, "-p udp", t.destination(d), t.clock(d), "-j", d.id+"-STRAY")
			for _, r := range d.spared() {
				t.rule(d.id+"-STRAY", iptPort(r.Proto, r.Numbers(":")), "-j RETURN")
			}
			t.rule(d.id+"-STRAY", "-g", d.id+"-RESET")
		}
	}
	t.rule(chain, "-j RETURN")
}

// end writes what becomes of packets in the end.
func (t *ipt) end() {
	end := EntryChain + "-END"
	rest := func(chain string) { t.rule(chain, "-j RETURN") }
	if ports, n := t.allPorts(); n > t.treeFrom() {
		t.noteShut()
		t.noteSilence()
		t.note("All else goes on to the rules after the jump to " + EntryChain + ".")
		tree := &portTree{ipt: t, rest: rest, leaf: func(chain string, ports []knock.PortRange) {
			t.shut(chain, ports)
			t.silence(chain, ports)
		}}
		tree.write(end, ports)
		return
	}
	t.noteShut()
	t.shut(end, nil)
	t.noteSilence()
	t.silence(end, nil)
	t.note("All else goes on to the rules after the jump to "+EntryChain+". (The page drops it: write",
		"-A "+end+" -j DROP here to have that, with an ACCEPT before it for each other service.)")
	rest(end)
}

func (t *ipt) noteShut() {
	t.note("", "The ports that doors open: for whom they are open, and for nobody else. What begins no",
		"connection passes: conntrack may not know sessions that are older than these rules.")
}

func (t *ipt) noteSilence() {
	if !t.opt.Observe {
		t.note("Knocks end here, and nothing shows that they were seen.")
	}
}

// shut writes the rules for the ports that doors open, those among some ports,
// nil for all.
func (t *ipt) shut(chain string, ports []knock.PortRange) {
	for _, proto := range protocols {
		for _, s := range t.opened[proto] {
			if touch(ports, s.PortRange) {
				t.shutSpan(chain, s)
			}
		}
	}
}

func (t *ipt) shutSpan(chain string, s span) {
	for _, d := range s.doors {
		if t.has(d) {
			t.rule(chain, iptPort(s.Proto, s.Numbers(":")), t.isOpen(d), "-j ACCEPT")
		}
	}
	for _, to := range t.destinations() {
		t.rule(chain, iptPort(s.Proto, s.Numbers(":")), begins(s.Proto), to, t.refuse(s.Proto))
	}
}

// begins matches what begins a connection.
func begins(proto knock.Protocol) string {
	if proto == knock.TCP {
		return "--syn"
	}
	return ""
}

// isOpen matches those for whom a door is open.
func (t *ipt) isOpen(d *door) string {
	what := "--rcheck"
	if d.CmdTimeout > 0 {
		what = fmt.Sprintf("--rcheck --seconds %d --reap", int(d.CmdTimeout.Seconds()))
	}
	in := ""
	if d.OpenOn != "" {
		in = "-i " + d.OpenOn + " "
	}
	return in + strings.TrimSpace(recent(what, t.list(d, d.last()))+" "+t.mask(d))
}

// destinations returns the matches of the destinations whose open ports are ours.
func (t *ipt) destinations() []string {
	if !t.opt.Prerouting {
		return []string{""}
	}
	out := []string{"-m addrtype --dst-type LOCAL"}
	for _, a := range targets(t.here) {
		out = append(out, "-d "+a)
	}
	return out
}

// refuse returns what happens to packets at a door that is shut.
func (t *ipt) refuse(proto knock.Protocol) string {
	switch {
	case !t.opt.Observe || t.opt.Prerouting: // the mangle table has no REJECT
		return "-j DROP"
	case proto == knock.TCP:
		return "-j REJECT --reject-with tcp-reset"
	}
	return "-j REJECT"
}

// silence drops the knocks on some ports, nil for all, that are not only
// watched.
func (t *ipt) silence(end string, ports []knock.PortRange) {
	if t.opt.Observe {
		return
	}
	byDestination := map[string][]knock.Step{}
	var order []string
	for _, d := range t.here {
		to := t.destination(d)
		for _, s := range d.Sequence {
			if !touch(ports, s.Ports()) || t.watched(s) {
				continue
			}
			if byDestination[to] == nil {
				order = append(order, to)
			}
			byDestination[to] = append(byDestination[to], s)
		}
	}
	for _, to := range order {
		all := sortSteps(byDestination[to])
		for _, proto := range protocols {
			for _, ports := range multiport(proto, ofProtocol(all, proto)) {
				t.rule(end, ports, to, "-j DROP")
			}
		}
	}
}
