package ruleset

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"knockd/internal/knock"
)

// condition is what makes a packet visible beside its port: what a door asks
// of flags and source, and whether it names its destination.
type condition struct {
	flags       string
	source      string
	destination bool
}

// condition returns that of a step of a door. UDP has no flags to check.
func (d *door) condition(s knock.Step, f family) condition {
	c := condition{source: d.source(f), destination: d.Target.IsValid()}
	if s.Proto == knock.TCP {
		c.flags = flagMatch(d.Flags)
	}
	return c
}

// flagMatch returns the match of a door's tcpflags; empty if it has none.
func flagMatch(m knock.FlagMatch) string {
	mask, value := flagMask(m)
	if mask == 0 {
		return ""
	}
	return fmt.Sprintf("tcp flags & %s == %s", flagSum(mask), flagSum(value))
}

// flagSum returns how nft writes a sum of flags.
func flagSum(f knock.Flags) string {
	if f == 0 {
		return "0x0"
	}
	names := strings.Split(f.String(), ",")
	if len(names) == 1 {
		return names[0]
	}
	return "(" + strings.Join(names, "|") + ")"
}

// source returns the match of who may knock at a door; empty if everybody may.
func (d *door) source(f family) string {
	var parts []string
	if allow := ofFamily(d.Allow, f); len(allow) > 0 {
		parts = append(parts, f.saddr()+" "+prefixSet(allow))
	}
	if deny := ofFamily(d.Deny, f); len(deny) > 0 {
		parts = append(parts, f.saddr()+" != "+prefixSet(deny))
	}
	return strings.Join(parts, " ")
}

// prefixSet writes prefixes as an anonymous set. A prefix that lies in
// another is left out, since intervals of a set must not overlap.
func prefixSet(all []netip.Prefix) string {
	var names []string
	for _, p := range outermost(all) {
		names = append(names, prefixName(p))
	}
	slices.Sort(names)
	return "{ " + strings.Join(names, ", ") + " }"
}

func prefixName(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// dport matches a step.
func dport(s knock.Step) string { return fmt.Sprintf("%s dport %d", s.Proto, s.Port) }

// stepName returns a step as an element of a set.
func stepName(s knock.Step) string { return fmt.Sprintf("%s . %d", s.Proto, s.Port) }

func stepSet(all []knock.Step) string {
	var names []string
	for _, s := range all {
		names = append(names, stepName(s))
	}
	return "{ " + strings.Join(names, ", ") + " }"
}

// targets returns the named destinations of doors, each once.
func targets(doors []*door) []string {
	var names []string
	for _, d := range doors {
		if d.Target.IsValid() {
			names = append(names, d.Target.String())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// targetSet writes the steps of the doors that name a destination, with it.
func targetSet(doors []*door, keep func(*door, knock.Step) bool) string {
	var names []string
	for _, d := range doors {
		for _, s := range d.Sequence {
			if d.Target.IsValid() && keep(d, s) {
				names = append(names, d.Target.String()+" . "+stepName(s))
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "{ " + strings.Join(slices.Compact(names), ", ") + " }"
}

// mask returns the netmask of a prefix length.
func mask(f family, bits int) string { return net.IP(net.CIDRMask(bits, f.bits())).String() }
