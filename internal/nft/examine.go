package nft

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
)

// Examine looks at the rulesets of the host and returns warnings about doors
// that cannot work with them, or that close nothing, and which mode would
// help. It follows a first packet from elsewhere through the rules as far as
// they can be judged; what depends on the packet's source, interface or on
// counting is taken to let it through only if it speaks of the door's port.
func Examine(o Options, doors []Door) (warnings []string, err error) {
	k, err := dial(o.NetNS)
	if err != nil {
		return nil, err
	}
	defer k.close()
	return examine(k, o, doors, "/proc/thread-self/net")
}

func examine(k kernel, o Options, doors []Door, procNet string) ([]string, error) {
	o.fillIn()
	specs, err := newSpecs(&o, doors)
	if err != nil {
		return nil, err
	}
	x := &examiner{k: k, opt: o, rules: map[chainKey][]*nftables.Rule{}, sets: map[setKey]*contents{}}
	if err := x.read(); err != nil {
		return nil, fmt.Errorf("examine the host's rules: %w", reason(err))
	}
	for _, s := range specs {
		for _, r := range s.Ports {
			x.door(s, r)
		}
	}
	return append(x.said, legacyTables(procNet)...), nil
}

// legacyTables names what iptables-legacy has loaded: nf_tables does not show
// it (net/netfilter/x_tables.c).
func legacyTables(procNet string) (warnings []string) {
	for _, version := range []struct{ file, tool string }{{"ip_tables_names", "iptables"}, {"ip6_tables_names", "ip6tables"}} {
		text, err := os.ReadFile(filepath.Join(procNet, version.file))
		switch names := strings.Fields(string(text)); {
		case os.IsNotExist(err):
		case err != nil:
			warnings = append(warnings, fmt.Sprintf("rules of %s-legacy, if there are any, were not examined: %v", version.tool, err))
		case len(names) > 0:
			warnings = append(warnings, fmt.Sprintf("rules of %s-legacy (%s) were not examined", version.tool, strings.Join(names, ", ")))
		}
	}
	return warnings
}

// chainKey and setKey name chains and sets.
type chainKey struct {
	table Table
	name  string
}

type setKey = chainKey

// examiner holds the host's rules as far as they have been read.
type examiner struct {
	k      kernel
	opt    Options
	chains []*nftables.Chain
	rules  map[chainKey][]*nftables.Rule
	sets   map[setKey]*contents
	said   []string
}

func (x *examiner) read() error {
	chains, err := x.k.chains()
	if err != nil {
		return err
	}
	for _, c := range chains {
		if t := tableOf(c.Table); t == x.opt.Table && x.opt.Mode != Set || t == NATTable(x.opt.Table) {
			continue // our own
		}
		rules, err := x.k.rules(c)
		if err != nil {
			x.say("chain %s of table %s was not examined: %v", c.Name, tableOf(c.Table), err)
			continue
		}
		x.chains = append(x.chains, c)
		x.rules[keyOf(c)] = rules
	}
	slices.SortStableFunc(x.chains, func(a, b *nftables.Chain) int { return cmp.Compare(priority(a), priority(b)) })
	return nil
}

func keyOf(c *nftables.Chain) chainKey { return chainKey{tableOf(c.Table), c.Name} }

func priority(c *nftables.Chain) nftables.ChainPriority {
	if c.Priority == nil {
		return 0
	}
	return *c.Priority
}

func (x *examiner) say(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(x.said, text) {
		x.said = append(x.said, text)
	}
}

// door examines one range of a door's ports, by its first port, in IPv4 and
// IPv6.
func (x *examiner) door(s *spec, r PortRange) {
	for _, v6 := range []bool{false, true} {
		if (v6 && s.v6 == nil) || (!v6 && s.v4 == nil) {
			continue
		}
		p := packet{proto: r.Proto, port: r.First, v6: v6}
		if x.opt.Mode != Guard {
			x.openToAll(s, r, p)
			p.opened = s
			p.mark = x.opt.Mark.Value
		}
		if dropped := x.passes(p, unix.NF_INET_PRE_ROUTING); dropped != nil {
			x.blocked(s, r, dropped)
			continue
		}
		if at := x.forwarded(p); at != nil {
			x.translated(s, r, at)
			continue
		}
		if dropped := x.passes(p, unix.NF_INET_LOCAL_IN); dropped != nil {
			x.blocked(s, r, dropped)
		}
	}
}

// openToAll warns where the door's port needs no knock.
func (x *examiner) openToAll(s *spec, r PortRange, p packet) {
	p.surely = true
	if x.passes(p, unix.NF_INET_PRE_ROUTING) == nil && x.passes(p, unix.NF_INET_LOCAL_IN) == nil {
		x.say("door %s: the host's rules let everybody reach %s, knock or not; drop it there, or use nft_mode = guard", s.Name, r)
	}
}

// blocked warns of a base chain that drops the packet of a knocker.
func (x *examiner) blocked(s *spec, r PortRange, c *nftables.Chain) {
	t := tableOf(c.Table)
	where := fmt.Sprintf("door %s: %s stays closed: chain %s of table %s drops it", s.Name, r, c.Name, t)
	switch {
	case x.opt.Mode == Guard && t.Name == "firewalld":
		x.say("%s; guard can only take away: allow %s in firewalld's zone", where, r)
	case x.opt.Mode == Guard && isIptables(t):
		x.say("%s; guard can only take away: accept %s there, or use nft_mode = mark", where, r)
	case x.opt.Mode == Guard:
		x.say("%s; guard can only take away: accept %s there, or use nft_mode = set or mark", where, r)
	case t.Name == "firewalld":
		x.say("%s; with firewalld use nft_mode = guard and allow %s in its zone", where, r)
	case x.opt.Mode == Mark && isIptables(t):
		tool := "iptables"
		if t.Family == nftables.TableFamilyIPv6 {
			tool = "ip6tables"
		}
		x.say("%s; add: %s -I %s -m mark --mark %v -j ACCEPT", where, tool, c.Name, x.opt.Mark)
	case x.opt.Mode == Mark:
		x.say("%s; add: nft 'insert rule %s %s meta mark & %#x == %#x accept'", where, t, c.Name, x.opt.Mark.Mask, x.opt.Mark.Value)
	default:
		x.say("%s before or in spite of the door's set; add a rule that asks the set, or use nft_mode = mark", where)
	}
}

// translated warns of ports that never reach the input hook.
func (x *examiner) translated(s *spec, r PortRange, c *nftables.Chain) {
	if x.opt.Mode == Guard && x.opt.Hook == Prerouting {
		return
	}
	where := fmt.Sprintf("door %s: chain %s of table %s forwards %s elsewhere", s.Name, c.Name, tableOf(c.Table), r)
	if x.opt.Mode == Guard {
		x.say("%s, past the guard at hook input: set guard_hook = prerouting", where)
		return
	}
	x.say("%s: the rules of the hook forward decide, which were not examined", where)
}

// isIptables says whether a table is one of iptables-nft.
func isIptables(t Table) bool {
	return (t.Family == nftables.TableFamilyIPv4 || t.Family == nftables.TableFamilyIPv6) &&
		slices.Contains([]string{"filter", "mangle", "raw", "nat", "security"}, t.Name)
}

// packet is the first packet of a connection from elsewhere.
type packet struct {
	proto  knock.Protocol
	port   uint16
	v6     bool
	mark   uint32
	opened *spec // the door that has been opened for its source, if any
	surely bool  // only what accepts it whatever it is counts

	established bool // not the first of its connection, but the answer
}

// sees says whether a table gets to see the packet.
func (p packet) sees(t *nftables.Table) bool {
	switch t.Family {
	case nftables.TableFamilyINet:
		return true
	case nftables.TableFamilyIPv4:
		return !p.v6
	case nftables.TableFamilyIPv6:
		return p.v6
	}
	return false
}

// passes returns the base chain of a hook that drops the packet, or nil.
func (x *examiner) passes(p packet, hook nftables.ChainHook) *nftables.Chain {
	for _, c := range x.base(p, hook, nftables.ChainTypeFilter) {
		got := x.walk(p, c, 0)
		if got == through && c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
			got = drops
		}
		if got == drops {
			return c
		}
	}
	return nil
}

// forwarded returns the chain that changes the packet's destination, or nil.
func (x *examiner) forwarded(p packet) *nftables.Chain {
	for _, c := range x.base(p, unix.NF_INET_PRE_ROUTING, nftables.ChainTypeNAT) {
		if x.walk(p, c, 0) == translates {
			return c
		}
	}
	return nil
}

func (x *examiner) base(p packet, hook nftables.ChainHook, kind nftables.ChainType) []*nftables.Chain {
	var all []*nftables.Chain
	for _, c := range x.chains {
		if c.Hooknum != nil && *c.Hooknum == hook && c.Type == kind && p.sees(c.Table) {
			all = append(all, c)
		}
	}
	return all
}
