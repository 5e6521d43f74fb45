package ruleset

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"knockd/internal/knock"
)

// EntryChain is the chain that INPUT calls; the chains common to all doors
// bear its name too.
const EntryChain = "TRAFFIC"

// EntryComment marks the chain that INPUT calls as ours.
const EntryComment = "knockctl export"

// listSize is how many addresses a list of -m recent holds, unless the module
// was loaded with another ip_list_tot.
const listSize = 100

// ipt writes a file for iptables-restore.
type ipt struct {
	text
	*plan
	f      family
	here   []*door // those of the family
	opened map[knock.Protocol][]span
	chains []string // in order of their first mention
	known  map[string]bool
	rules  text
}

func newIpt(p *plan) *ipt {
	t := &ipt{plan: p, f: ipv4, opened: map[knock.Protocol][]span{}, known: map[string]bool{}}
	if p.opt.IPv6 {
		t.f = ipv6
	}
	t.here = p.in(t.f)
	for _, proto := range protocols {
		t.opened[proto] = p.spans(proto)
	}
	return t
}

// Iptables compiles the doors into a file for iptables-restore --noflush, or
// with Options.IPv6 for ip6tables-restore, that uses -m recent. The error
// names every door and key that a ruleset cannot do.
func Iptables(doors []*Door, opt Options) ([]byte, error) {
	p, err := newPlan(doors, opt, naming{chainName, "_%d-", maxChainID})
	if err != nil {
		return nil, err
	}
	t := newIpt(p)
	t.traffic()
	t.knock()
	for _, d := range t.here {
		t.door(d)
	}
	t.strays()
	t.end()
	t.header()
	t.printf("%s", t.rules.b.String())
	t.printf("COMMIT\n")
	return []byte(t.b.String()), nil
}

// maxChainID is how much of the name of a chain, which has at most 28 octets,
// may be the door's: -INPUTTHREE takes the rest.
const maxChainID = 17

// chainName turns a door's name into the beginning of the names of its chains
// and lists: openSSH becomes SSH, as the Arch wiki's page calls them.
func chainName(name string) string {
	id := strings.ToUpper(identifier(name))
	if rest := strings.TrimLeft(strings.TrimPrefix(id, "OPEN"), "_"); rest != "" {
		id = rest
	}
	if len(id) > 14 {
		id = id[:14]
	}
	if id == EntryChain {
		id += "_"
	}
	if last := id[len(id)-1]; '0' <= last && last <= '9' {
		id += "-" // or list 0 of SSH1 were list 10 of SSH; so numbers end in one too
	}
	return id
}

// list returns the name of the list of those who have done k knocks, counted
// from 0 as the page does; the last is that of the open door.
func (t *ipt) list(d *door, k int) string {
	name := fmt.Sprintf("%s%d", d.id, k-1)
	if t.f == ipv6 {
		name += "V6" // lists are common to both families
	}
	return name
}

// inputChain returns the name of the chain for knock k, from the second on.
func (d *door) inputChain(k int) string {
	words := []string{"", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"}
	if k-2 < len(words) {
		return d.id + "-INPUT" + words[k-2]
	}
	return fmt.Sprintf("%s-INPUT%d", d.id, k-1)
}

// rule writes one rule; the parts that are empty do not count.
func (t *ipt) rule(chain string, parts ...string) {
	if !t.known[chain] {
		t.known[chain] = true
		t.chains = append(t.chains, chain)
	}
	t.rules.line("", append([]string{"-A", chain}, parts...)...)
}

func (t *ipt) note(lines ...string) { t.rules.comments(lines...) }

// recent returns a match on a list.
func recent(what, list string) string { return "-m recent " + what + " --name " + list }

// clock matches the sources whose attempt at a door lives.
func (t *ipt) clock(d *door) string {
	return recent(fmt.Sprintf("--rcheck --seconds %d", wholeSeconds(d)), t.list(d, 1))
}

func wholeSeconds(d *door) int { return int(d.Timeout.Seconds()) }

// traffic writes the chain that INPUT calls.
func (t *ipt) traffic() {
	t.note("What this host has begun, and what was let in before, goes on; loopback is not looked at.")
	t.rule(EntryChain, "-i lo -j RETURN")
	t.rule(EntryChain, `-m conntrack --ctstate ESTABLISHED,RELATED -m comment --comment "`+EntryComment+`" -j ACCEPT`)
	t.filterKnocks()
}

// stray sends what is no knock to where attempts at strict doors fail.
func (t *ipt) stray(chain string) {
	if t.anyStrict() {
		for _, in := range t.interfaces() {
			t.rule(chain, in, "-j", EntryChain+"-STRAY")
		}
	}
}

// interfaces returns a match for each interface listened on.
func (t *ipt) interfaces() []string {
	if len(t.opt.Interfaces) == 0 {
		return []string{""}
	}
	var out []string
	for _, name := range t.opt.Interfaces {
		out = append(out, "-i "+name)
	}
	return out
}

// iptCondition is one way to be visible.
type iptCondition struct {
	ports, flags, destination string
	sources                   []string
}

// conditions gathers the ways to be visible on some ports, nil for all, with as
// few rules as can be.
func (t *ipt) conditions(ports []knock.PortRange) []iptCondition {
	type key struct {
		proto                       knock.Protocol
		flags, destination, sources string
	}
	steps := map[key][]knock.Step{}
	sources := map[string][]string{}
	var order []key
	for _, d := range t.here {
		here := slices.DeleteFunc(slices.Clone(d.Sequence), func(s knock.Step) bool { return !touch(ports, s.Ports()) })
		if len(here) == 0 {
			continue
		}
		src := t.sources(d)
		if len(src) == 0 {
			continue // deny holds all of allow
		}
		joined := strings.Join(src, " ")
		sources[joined] = src
		for _, s := range here {
			k := key{s.Proto, iptFlags(d.Flags, s, ""), t.destination(d), joined}
			if steps[k] == nil {
				order = append(order, k)
			}
			steps[k] = append(steps[k], s)
		}
	}
	var out []iptCondition
	for _, k := range order {
		for _, ports := range multiport(k.proto, sortSteps(steps[k])) {
			out = append(out, iptCondition{ports, k.flags, k.destination, sources[k.sources]})
		}
	}
	return out
}

// multiport matches steps of one protocol, 15 ports a rule.
func multiport(proto knock.Protocol, steps []knock.Step) []string {
	var out []string
	for chunk := range slices.Chunk(steps, 15) {
		var ports []string
		for _, s := range chunk {
			ports = append(ports, fmt.Sprint(s.Port))
		}
		if len(ports) == 1 {
			out = append(out, iptPort(proto, ports[0]))
		} else {
			out = append(out, fmt.Sprintf("-p %s -m multiport --dports %s", proto, strings.Join(ports, ",")))
		}
	}
	return out
}

func iptPort(proto knock.Protocol, ports string) string {
	return fmt.Sprintf("-p %s -m %s --dport %s", proto, proto, ports)
}

func iptStep(s knock.Step) string { return iptPort(s.Proto, fmt.Sprint(s.Port)) }

// iptFlags matches a door's tcpflags on a step; not is "! " or empty.
func iptFlags(m knock.FlagMatch, s knock.Step, not string) string {
	mask, value := flagMask(m)
	if mask == 0 || s.Proto != knock.TCP {
		return ""
	}
	return fmt.Sprintf("%s--tcp-flags %s %s", not, upperFlags(mask), upperFlags(value))
}

func upperFlags(f knock.Flags) string {
	if f == 0 {
		return "NONE"
	}
	return strings.ToUpper(f.String())
}

// destination matches what a door watches.
func (t *ipt) destination(d *door) string {
	if d.Target.IsValid() {
		return "-d " + d.Target.String()
	}
	return "-m addrtype --dst-type LOCAL"
}

// sources returns a match for each run of addresses that may knock at a door.
func (t *ipt) sources(d *door) []string {
	allow := ofFamily(d.Allow, t.f)
	if len(d.Allow) == 0 {
		any := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if t.f == ipv6 {
			any = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		allow = []netip.Prefix{any}
	}
	out := []string{}
	for _, p := range outermost(allow) {
		for _, q := range subtract(p, ofFamily(d.Deny, t.f)) {
			if q.Bits() == 0 {
				return []string{""}
			}
			out = append(out, "-s "+prefixName(q))
		}
	}
	return out
}

// outermost drops the prefixes that lie in others.
func outermost(all []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for i, p := range all {
		if !slices.ContainsFunc(all, func(o netip.Prefix) bool { return o.Bits() < p.Bits() && o.Contains(p.Addr()) }) &&
			!slices.Contains(all[:i], p) {
			out = append(out, p)
		}
	}
	return out
}

// subtract returns what is left of a prefix without others, as prefixes that
// do not overlap.
func subtract(p netip.Prefix, deny []netip.Prefix) []netip.Prefix {
	overlap := false
	for _, d := range deny {
		if d.Bits() <= p.Bits() && d.Contains(p.Addr()) {
			return nil
		}
		overlap = overlap || p.Contains(d.Addr())
	}
	if !overlap {
		return []netip.Prefix{p}
	}
	low := netip.PrefixFrom(p.Addr(), p.Bits()+1)
	octets := p.Addr().AsSlice()
	octets[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	addr, _ := netip.AddrFromSlice(octets)
	high := netip.PrefixFrom(addr, p.Bits()+1)
	return append(subtract(low, deny), subtract(high, deny)...)
}

// header writes what a reader must know, the table and its chains.
func (t *ipt) header() {
	program, command := "iptables", "knockctl export iptables --apply"
	if t.f == ipv6 {
		program, command = "ip6tables", "knockctl export iptables --ipv6 --apply"
	}
	t.comments(
		"Port knocking without a daemon: doors of knockd compiled for "+program+", in the",
		"structure of the Arch wiki's page \"Port knocking\", whose weaknesses are repaired.",
		"Load it with "+program+"-restore --noflush, which keeps the rules of others; loaded so",
		"a second time, first remove the jump from INPUT; "+command+" does.",
		"Lists, and so open doors, outlive a load.",
		"")
	for _, d := range t.plan.doors {
		t.comments(d.describe())
	}
	t.comments("",
		fmt.Sprintf("A list of -m recent holds %d addresses (xt_recent's ip_list_tot), the oldest goes first: see", listSize),
		"/proc/net/xt_recent/. While a flood of first knocks from ever new addresses lasts nobody",
		"gets in; after it, within 5 seconds. More: modprobe xt_recent ip_list_tot=1000.",
		"A SYN sent again counts once if it comes within 5 seconds of the one before.",
		fmt.Sprintf("Stages are logged to NFLOG group %d: knockctl kernel-log writes them as knockd does.", t.opt.group()))
	t.comments(t.plan.notes()...)
	if cost := t.cost(); len(cost) > 0 {
		t.comments(append([]string{""}, cost...)...)
	}
	table, hook := "filter", "INPUT"
	if t.opt.Prerouting {
		table, hook = "mangle", "PREROUTING"
	}
	t.printf("*%s\n:%s - [0:0]\n", table, hook)
	for _, c := range t.chains {
		t.printf(":%s - [0:0]\n", c)
	}
	t.printf("-I %s 1 -j %s\n", hook, EntryChain)
}
