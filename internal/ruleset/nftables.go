package ruleset

import (
	"fmt"
	"strings"
	"time"

	"knockd/internal/knock"
)

// Table is the name of the nftables table, of family inet.
const Table = "knock"

// repeatWindow is how long a SYN that took a step is known again after it was
// last seen, as in knock.Tracker.
const repeatWindow = 40 * time.Second

// maxSetSize is how many addresses a set holds, unless there are many doors.
const maxSetSize = 65535

// fullSizeDoors is how many doors have sets of full size. The kernel sets
// memory aside for the size at once, 1 MB for a full one, so more doors share
// what these take.
const fullSizeDoors = 8

// manyDoors is from how many doors on the kernel looks for elements whose time
// is over more rarely than each second: it scans every set for that.
const manyDoors = 100

// setSize returns how many addresses a set of a door holds.
func (p *plan) setSize() int {
	return max(1024, maxSetSize*fullSizeDoors/max(fullSizeDoors, len(p.doors)))
}

// nft writes the table.
type nft struct {
	text
	*plan
}

// Nftables compiles the doors into the text of one table for nft -f. Loading
// it again keeps the doors that are open. The error names every door and key
// that a ruleset cannot do.
func Nftables(doors []*Door, opt Options) ([]byte, error) {
	p, err := newPlan(doors, opt, naming{identifier, "_%d", maxIdentifier})
	if err != nil {
		return nil, err
	}
	n := &nft{plan: p}
	n.header()
	n.printf("table inet %s {}\nflush table inet %s\n\ntable inet %s {\n", Table, Table, Table)
	for _, f := range families {
		n.sets(f)
	}
	n.base()
	n.guard()
	for _, f := range families {
		n.family(f)
	}
	n.logs()
	n.printf("}\n")
	n.forget()
	return []byte(n.b.String()), nil
}

// saddr is how rules of a family name the knocker.
func (f family) saddr() string {
	if f == ipv4 {
		return "ip saddr"
	}
	return "ip6 saddr"
}

// tuple is how they name a TCP packet, and with it what is sent again.
func (f family) tuple() string { return f.saddr() + " . tcp sport . tcp dport . tcp sequence" }

func (f family) daddr() string { return strings.Replace(f.saddr(), "saddr", "daddr", 1) }

// stage returns the set of those who have done k steps; the first is the clock.
func (d *door) stage(k int, f family) string { return fmt.Sprintf("k_%s_s%d_%d", d.id, k, f) }

// openSet returns the set of those for whom the door is open. A set that
// forgets and one that does not have different names, since the kernel cannot
// turn one into the other.
func (d *door) openSet(f family) string {
	if d.CmdTimeout == 0 {
		return fmt.Sprintf("k_%s_stay_%d", d.id, f)
	}
	return fmt.Sprintf("k_%s_open_%d", d.id, f)
}

// opened returns the key of a door's open set: the knocker or what is around
// it.
func (d *door) opened(f family) string {
	n := d.prefix(f)
	if n == f.bits() {
		return f.saddr()
	}
	return f.saddr() + " & " + mask(f, n)
}

// openOn returns the match of the interface on which a door opens; empty for all.
func (d *door) openOn() string {
	if d.OpenOn == "" {
		return ""
	}
	name, wild := strings.CutSuffix(d.OpenOn, "+")
	if wild {
		name += "*"
	}
	return `iifname "` + name + `"`
}

func (d *door) chain(name string, f family) string { return fmt.Sprintf("k_%s_%s_%d", d.id, name, f) }

// sets writes the sets of a family.
func (n *nft) sets(f family) {
	doors := n.in(f)
	if len(doors) == 0 {
		return
	}
	longest := time.Second
	for _, d := range doors {
		longest = max(longest, d.Timeout+time.Second) // never before the clocks
	}
	n.printf("  # IPv%d: TCP packets that took a step, to know them when they are sent again\n", f)
	n.printf("  set k_seen_%d { typeof %s; flags dynamic,timeout; timeout %s; size %d; }\n",
		f, f.tuple(), nftTime(repeatWindow), maxSetSize)
	n.printf("  # IPv%d: who may be in the middle of a sequence; all others are spared a search of the doors\n", f)
	n.set(fmt.Sprintf("k_live_%d", f), f, longest, 2*maxSetSize)
	for _, d := range doors {
		for k := 1; k < d.last(); k++ {
			if k == 1 {
				n.printf("  # IPv%d, %s: the first of %d steps done; never refreshed, it is the clock of the whole sequence\n", f, printable(d.Name), d.last())
			}
			n.set(d.stage(k, f), f, d.Timeout, n.setSize())
		}
		if len(d.Open) > 0 {
			n.printf("  # IPv%d, %s: who is let in\n", f, printable(d.Name))
			n.set(d.openSet(f), f, d.CmdTimeout, n.setSize())
		}
	}
	n.printf("\n")
}

func (n *nft) set(name string, f family, timeout time.Duration, size int) {
	flags := "flags dynamic"
	if timeout > 0 {
		flags += ",timeout; timeout " + nftTime(timeout)
		if len(n.doors) > manyDoors {
			flags += "; gc-interval 5s"
		}
	}
	n.printf("  set %s { type ipv%d_addr; %s; size %d; }\n", name, f, flags, size)
}

// base writes the chain that the kernel calls.
func (n *nft) base() {
	hook, priority := "input", "filter - 10"
	if n.opt.Prerouting {
		hook, priority = "prerouting", "mangle"
	}
	n.printf("  chain %s {\n    type filter hook %s priority %s; policy accept;\n", hook, hook, priority)
	n.line("    ", `iif "lo" accept`)
	n.line("    ", "ct state established,related accept")
	n.line("    ", n.interfaces(), "meta l4proto . th dport", stepSet(steps(n.doors)), "goto k_knock")
	if n.anyStrict() {
		for _, f := range families {
			if len(n.in(f)) > 0 {
				n.line("    ", n.interfaces(), f.saddr(), fmt.Sprintf("@k_live_%d", f), "meta l4proto { tcp, udp } jump", fmt.Sprintf("k_stray_%d", f))
			}
		}
	}
	n.line("    ", "goto k_guard")
	n.printf("  }\n\n  # a knock port: look at it, then drop it\n  chain k_knock {\n")
	for _, f := range families {
		if len(n.in(f)) > 0 {
			n.printf("    meta nfproto ipv%d jump k_knock_%d\n", f, f)
		}
	}
	n.printf("    goto k_end\n  }\n  # all is decided about a knock; this chain never returns\n  chain k_end {\n")
	n.silence()
	n.printf("    goto k_guard\n  }\n\n")
}

func (n *nft) interfaces() string {
	if len(n.opt.Interfaces) == 0 {
		return ""
	}
	var names []string
	for _, name := range n.opt.Interfaces {
		names = append(names, `"`+name+`"`)
	}
	return "iifname { " + strings.Join(names, ", ") + " }"
}

// silence drops what was sent to a knock port that is not only watched.
func (n *nft) silence() {
	var local []knock.Step
	for _, d := range n.doors {
		for _, s := range d.Sequence {
			if !d.Target.IsValid() && !n.watched(s) {
				local = append(local, s)
			}
		}
	}
	if len(local) > 0 {
		n.line("    ", "fib daddr type local meta l4proto . th dport", stepSet(sortSteps(local)), "drop")
	}
	for _, f := range families {
		if set := targetSet(n.in(f), func(_ *door, s knock.Step) bool { return !n.watched(s) }); set != "" {
			n.line("    ", f.daddr(), ". meta l4proto . th dport", set, "drop")
		}
	}
}

// guard writes what keeps the ports shut that doors open. It always ends in a
// verdict, and so may stand for the end of all rules.
func (n *nft) guard() {
	var chains []span
	n.printf("  # the ports that doors open are shut for everybody else; segments that begin no\n")
	n.printf("  # connection pass: conntrack may not know sessions that are older than these rules\n  chain k_guard {\n")
	n.line("    ", "tcp flags & (fin|syn|rst|ack) != syn accept")
	for _, proto := range protocols {
		var elements []string
		for _, s := range n.spans(proto) {
			chains = append(chains, s)
			elements = append(elements, fmt.Sprintf("%s : goto k_open_%s", s.Numbers("-"), s.chain()))
		}
		if len(elements) > 0 {
			n.printf("    %s dport vmap { %s }\n", proto, strings.Join(elements, ", "))
		}
	}
	n.printf("    accept\n  }\n\n")
	for _, s := range chains {
		n.opening(s)
	}
}

func (s span) chain() string { return s.Proto.String() + "_" + s.Numbers("_") }

// opening writes the chain that lets the right addresses through to a port.
func (n *nft) opening(s span) {
	n.printf("  chain k_open_%s {\n", s.chain())
	if n.opt.Prerouting {
		n.passForwarded()
	}
	for _, f := range families {
		for _, d := range n.in(f) {
			for _, o := range s.doors {
				if o == d {
					n.line("    ", d.openOn(), d.opened(f), "@"+d.openSet(f), "accept")
				}
			}
		}
	}
	switch {
	case !n.opt.Observe:
		n.line("    ", "drop")
	case s.Proto == knock.TCP:
		n.line("    ", "reject with tcp reset")
	default:
		n.line("    ", "reject")
	}
	n.printf("  }\n\n")
}

// passForwarded lets through what is neither for this host nor for a target.
func (n *nft) passForwarded() {
	for _, f := range families {
		var other string
		if t := targets(n.in(f)); len(t) > 0 {
			other = f.daddr() + " != { " + strings.Join(t, ", ") + " }"
		}
		n.line("    ", fmt.Sprintf("meta nfproto ipv%d fib daddr type != local", f), other, "accept")
	}
}

// logs writes the chains of the log lines, which both families share.
func (n *nft) logs() {
	rate := ""
	if r := n.opt.stageRate(); r > 0 {
		rate = fmt.Sprintf("limit rate %d/second burst %d packets", r, 2*r)
	}
	group := fmt.Sprintf("group %d", n.opt.group())
	for _, d := range n.doors {
		for k := 1; k <= d.last(); k++ {
			n.printf("  chain k_%s_log%d {\n", d.id, k)
			n.line("    ", rate, fmt.Sprintf("log prefix \"%s\"", d.stagePrefix(k)), group)
			if k == d.last() {
				n.line("    ", fmt.Sprintf("log prefix \"%s\"", d.openedPrefix()), group)
			}
			n.printf("  }\n")
		}
	}
}

// forget empties the sets of attempts: loaded again, other doors may bear the
// same names. Who is let in stays let in.
func (n *nft) forget() {
	n.printf("\n# attempts end when the ruleset is loaded again; open doors stay open\n")
	for _, f := range families {
		doors := n.in(f)
		if len(doors) == 0 {
			continue
		}
		n.printf("flush set inet %s k_live_%d\n", Table, f)
		for _, d := range doors {
			for k := 1; k < d.last(); k++ {
				n.printf("flush set inet %s %s\n", Table, d.stage(k, f))
			}
		}
	}
}
