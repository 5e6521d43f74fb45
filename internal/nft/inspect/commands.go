package inspect

import (
	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nft"
)

// Rule is one that a door's command puts into a chain of the table filter of
// iptables, to let a knocker in.
type Rule struct {
	Door   string
	V6     bool // of ip6tables
	Chain  string
	Append bool // at the end of the chain
	Ports  []knock.PortRange
}

// ExamineRules looks at the rulesets of the host and returns warnings about rules
// that would let nobody in, since others drop what they accept.
// Rules of iptables-legacy are not seen, which unseen says.
func ExamineRules(o nft.Options, rules []Rule) (warnings, unseen []string, err error) {
	warnings, err = inspectWith(o, func(x *inspector) error {
		for _, r := range rules {
			for _, ports := range r.Ports {
				x.rule(r, ports)
			}
		}
		return nil
	})
	return warnings, legacyTables("/proc/thread-self/net"), err
}

// rule examines one range of ports, by its first port.
func (x *inspector) rule(r Rule, ports knock.PortRange) {
	p := packet{proto: ports.Proto, port: ports.First, v6: r.V6}
	if c := x.passes(p, unix.NF_INET_PRE_ROUTING); c != nil {
		x.warn("door %s: %s stays closed: chain %s of table %s drops it before the rule of the command is asked", r.Door, ports, c.Name, nft.TableOf(c.Table))
		return
	}
	table := knock.Table{Family: "ip", Name: "filter"}
	if r.V6 {
		table.Family = "ip6"
	}
	for _, c := range x.base(p, unix.NF_INET_LOCAL_IN, nftables.ChainTypeFilter) {
		mine := nft.TableOf(c.Table) == table
		got := x.evaluate(p, c)
		switch {
		case mine && got == drops && r.Append && r.Chain == c.Name:
			x.warn("door %s: -A puts its rule for %s behind one of chain %s that drops everything: say -I %s", r.Door, ports, c.Name, c.Name)
		case mine: // the rule lets it through, or stands in a chain that nobody knows
		case got == drops || got == through && c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop:
			x.warn("door %s: %s stays closed: chain %s of table %s drops it, whatever iptables lets in; let the door open it there", r.Door, ports, c.Name, nft.TableOf(c.Table))
		}
	}
}

// Reached returns those of the ports that the host's rules let somebody reach who
// has not knocked, over IPv4 or IPv6. A rule that trusts a network whatever the
// port counts for nobody.
func Reached(o nft.Options, ports []knock.PortRange) (reached []knock.PortRange, err error) {
	_, err = inspectWith(o, func(x *inspector) error {
		for _, r := range ports {
			if x.reaches(packet{proto: r.Proto, port: r.First}) || x.reaches(packet{proto: r.Proto, port: r.First, v6: true}) {
				reached = append(reached, r)
			}
		}
		return nil
	})
	return reached, err
}

// reaches reports whether a packet comes as far as to the host's programs.
func (x *inspector) reaches(p packet) bool {
	return x.passes(p, unix.NF_INET_PRE_ROUTING) == nil && x.passes(p, unix.NF_INET_LOCAL_IN) == nil
}
