package inspect

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
	"knockd/internal/nft"
)

// Examine looks at the rulesets of the host and returns warnings about doors
// that cannot work with them, or that close nothing, and which mode would
// help.
func Examine(o nft.Options, doors []nft.Door) (warnings []string, err error) {
	warnings, err = examine(o, doors, (*inspector).open)
	if err != nil {
		return nil, err
	}
	for _, what := range legacyTables("/proc/thread-self/net") {
		warnings = append(warnings, what+" were not examined")
	}
	return warnings, nil
}

// examine reads the host's rules and looks at each door with one of the
// inspector's methods.
func examine(o nft.Options, doors []nft.Door, look func(*inspector, *door)) (warnings []string, err error) {
	return inspectWith(o, func(x *inspector) error {
		for _, d := range doors {
			v4, v6, err := d.Sets(x.opt)
			if err != nil {
				return err
			}
			look(x, &door{d, v4, v6})
		}
		return nil
	})
}

// inspectWith reads the host's rules, looks at them and returns the warnings.
func inspectWith(o nft.Options, look func(*inspector) error) (warnings []string, err error) {
	r, err := nft.NewReader(o.NetNS)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	x, err := newInspector(r, o)
	if err != nil {
		return nil, err
	}
	if err := look(x); err != nil {
		return nil, err
	}
	return x.warnings, nil
}

// door is a door and the sets that its openings are in.
type door struct {
	nft.Door
	v4, v6 knock.SetName // the zero value: it does not open for this version
}

// legacyTables names what iptables-legacy has loaded: nf_tables does not show
// it (net/netfilter/x_tables.c).
func legacyTables(procNet string) (rules []string) {
	for _, version := range []struct{ file, tool string }{{"ip_tables_names", "iptables"}, {"ip6_tables_names", "ip6tables"}} {
		text, err := os.ReadFile(filepath.Join(procNet, version.file))
		switch names := strings.Fields(string(text)); {
		case os.IsNotExist(err):
		case err != nil:
			rules = append(rules, fmt.Sprintf("rules of %s-legacy, if there are any (%v)", version.tool, err))
		case len(names) > 0:
			rules = append(rules, fmt.Sprintf("rules of %s-legacy (%s)", version.tool, strings.Join(names, ", ")))
		}
	}
	return rules
}

// chainKey and setKey name chains and sets.
type chainKey struct {
	table knock.Table
	name  string
}

type setKey = chainKey

// inspector holds the host's rules as far as they have been read.
type inspector struct {
	reader   *nft.Reader
	opt      nft.Options
	chains   []*nftables.Chain
	rules    map[chainKey][]*nftables.Rule
	sets     map[setKey]*contents
	visited  map[visit]outcome // in the evaluation that goes on
	warnings []string
}

func newInspector(r *nft.Reader, o nft.Options) (*inspector, error) {
	x := &inspector{reader: r, opt: o.WithDefaults(), rules: map[chainKey][]*nftables.Rule{}, sets: map[setKey]*contents{}}
	if err := x.read(); err != nil {
		return nil, fmt.Errorf("examine the host's rules: %w", err)
	}
	return x, nil
}

func (x *inspector) read() error {
	chains, err := x.reader.Chains()
	if err != nil {
		return err
	}
	for _, c := range chains {
		if t := nft.TableOf(c.Table); t == x.opt.Table && x.opt.Mode.HasTable() || t == nft.NATTable(x.opt.Table) {
			continue // our own
		}
		rules, err := x.reader.Rules(c)
		if err != nil {
			x.warn("chain %s of table %s was not examined: %v", c.Name, nft.TableOf(c.Table), err)
			continue
		}
		x.chains = append(x.chains, c)
		x.rules[keyOf(c)] = rules
	}
	slices.SortStableFunc(x.chains, func(a, b *nftables.Chain) int { return cmp.Compare(priority(a), priority(b)) })
	return nil
}

func keyOf(c *nftables.Chain) chainKey { return chainKey{nft.TableOf(c.Table), c.Name} }

func priority(c *nftables.Chain) nftables.ChainPriority {
	if c.Priority == nil {
		return 0
	}
	return *c.Priority
}

func (x *inspector) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(x.warnings, text) {
		x.warnings = append(x.warnings, text)
	}
}

// open examines the ports that a door opens.
func (x *inspector) open(s *door) {
	for _, ports := range s.Ports {
		x.ports(s, ports)
	}
}

// ports examines one range of a door's ports, by its first port, in IPv4 and
// IPv6.
func (x *inspector) ports(s *door, r knock.PortRange) {
	for _, v6 := range []bool{false, true} {
		if v6 && s.v6.IsZero() || !v6 && s.v4.IsZero() {
			continue
		}
		p := packet{proto: r.Proto, port: r.First, v6: v6}
		if !x.opt.Mode.Closes() {
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
func (x *inspector) openToAll(s *door, r knock.PortRange, p packet) {
	p.surely = true
	if x.reaches(p) {
		x.warn("door %s: the host's rules let everybody reach %s, knock or not; drop it there, or use nft_mode = guard", s.Name, r)
	}
}

// blocked warns of a base chain that drops the packet of a knocker.
func (x *inspector) blocked(s *door, r knock.PortRange, c *nftables.Chain) {
	t := nft.TableOf(c.Table)
	x.warn("door %s: %s stays closed: chain %s of table %s drops it%s", s.Name, r, c.Name, t, x.opt.Mode.Advice(x.opt, t, c.Name, r))
}

// translated warns of ports that never reach the input hook.
func (x *inspector) translated(s *door, r knock.PortRange, c *nftables.Chain) {
	if x.opt.Mode.Closes() && x.opt.Hook == nft.Prerouting {
		return
	}
	where := fmt.Sprintf("door %s: chain %s of table %s forwards %s elsewhere", s.Name, c.Name, nft.TableOf(c.Table), r)
	if x.opt.Mode.Closes() {
		x.warn("%s, past the guard at hook input: set guard_hook = prerouting", where)
		return
	}
	x.warn("%s: the rules of the hook forward decide, which were not examined", where)
}

// packet is the first packet of a connection from elsewhere.
type packet struct {
	proto  knock.Protocol
	port   uint16
	v6     bool
	mark   uint32
	opened *door // the door that has been opened for its source, if any
	surely bool  // only what accepts it whatever it is counts

	established bool // not the first of its connection, but the answer
	doubtful    bool // it comes only so far if its source is the right one
}

// sees reports whether a table gets to see the packet.
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
func (x *inspector) passes(p packet, hook nftables.ChainHook) *nftables.Chain {
	for _, c := range x.base(p, hook, nftables.ChainTypeFilter) {
		got := x.evaluate(p, c)
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
func (x *inspector) forwarded(p packet) *nftables.Chain {
	for _, c := range x.base(p, unix.NF_INET_PRE_ROUTING, nftables.ChainTypeNAT) {
		if x.evaluate(p, c) == translates {
			return c
		}
	}
	return nil
}

func (x *inspector) base(p packet, hook nftables.ChainHook, kind nftables.ChainType) []*nftables.Chain {
	var all []*nftables.Chain
	for _, c := range x.chains {
		if c.Hooknum != nil && *c.Hooknum == hook && c.Type == kind && p.sees(c.Table) {
			all = append(all, c)
		}
	}
	return all
}
