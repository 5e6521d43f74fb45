package ruleset

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"knockd/internal/knock"
)

// family is IPv4 or IPv6; each has sets and chains of its own.
type family uint8

const (
	ipv4 family = 4
	ipv6 family = 6
)

var (
	families  = []family{ipv4, ipv6}
	protocols = []knock.Protocol{knock.TCP, knock.UDP}
)

// bits returns the length of an address.
func (f family) bits() int {
	if f == ipv4 {
		return 32
	}
	return 128
}

func (f family) has(a netip.Addr) bool { return a.Is4() == (f == ipv4) }

// plan is what both back ends compile: the doors, checked and named.
type plan struct {
	doors []*door
	opt   Options
}

// door is a Door with its name in the ruleset and the doors it closes.
type door struct {
	*Door
	id     string
	closes []*door
}

// newPlan checks the doors and names them.
func newPlan(doors []*Door, opt Options, names naming) (*plan, error) {
	p := &plan{opt: opt}
	taken := map[string]bool{}
	for _, d := range doors {
		c := *d
		if c.Strict && c.Flags == (knock.FlagMatch{}) {
			c.Flags = knock.FlagMatch{Set: knock.SYN, Clear: knock.ACK}
		}
		p.doors = append(p.doors, &door{Door: &c, id: names.next(d.Name, taken)})
	}
	var errs []error
	if len(doors) == 0 {
		errs = append(errs, errors.New("no door to compile"))
	}
	for _, name := range opt.Interfaces {
		errs = append(errs, checkInterface(name))
	}
	for _, d := range p.doors {
		errs = append(errs, p.check(d))
	}
	return p, errors.Join(errs...)
}

// maxTimeout bounds seq_timeout and cmd_timeout: the kernel counts an
// element's time in milliseconds, and longer than this is for ever.
const maxTimeout = 49 * 24 * time.Hour

// check finds what a ruleset cannot do for a door.
func (p *plan) check(d *door) error {
	var errs []error
	fault := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("[%s] %s: %s", d.Name, key, fmt.Sprintf(format, args...)))
	}
	if len(d.Sequence) == 0 {
		fault("sequence", "a ruleset needs a fixed sequence; this door has none")
	}
	if len(d.Sequence) > knock.MaxSteps {
		fault("sequence", "has %d steps: at most %d", len(d.Sequence), knock.MaxSteps)
	}
	for _, s := range d.Sequence {
		if s.Port == 0 || s.Proto != knock.TCP && s.Proto != knock.UDP {
			fault("sequence", "step %s: a ruleset needs a port from 1 to 65535 of tcp or udp", s)
		}
	}
	if d.Timeout < time.Second || d.Timeout > maxTimeout {
		fault("seq_timeout", "%s: must be from 1 second to 49 days", d.Timeout)
	}
	if d.CmdTimeout != 0 && (d.CmdTimeout < time.Second || d.CmdTimeout > maxTimeout) {
		fault("cmd_timeout", "%s: must be from 1 second to 49 days", d.CmdTimeout)
	}
	if len(d.Open) == 0 && len(d.Closes) == 0 {
		fault("open", "nothing says what opens: add open = tcp/22 (the ports), or close = DOOR")
	}
	if d.OpenPrefix4 < 0 || d.OpenPrefix4 > 32 {
		fault("open_prefix_4", "%d: must be from 1 to 32", d.OpenPrefix4)
	}
	if d.OpenPrefix6 < 0 || d.OpenPrefix6 > 128 {
		fault("open_prefix_6", "%d: must be from 1 to 128", d.OpenPrefix6)
	}
	if d.OpenOn != "" {
		if err := checkInterface(strings.TrimSuffix(d.OpenOn, "+")); err != nil {
			fault("start_command", "%v", err)
		}
	}
	for _, name := range d.Closes {
		n := len(d.closes)
		for _, other := range p.doors {
			if other.Name == name && len(other.Open) > 0 {
				d.closes = append(d.closes, other)
			}
		}
		if n == len(d.closes) {
			fault("close", "%s is no door of this ruleset that opens anything", name)
		}
	}
	return errors.Join(errs...)
}

// in returns the doors that packets of a family can knock at.
func (p *plan) in(f family) []*door {
	var out []*door
	for _, d := range p.doors {
		if d.Target.IsValid() && !f.has(d.Target) {
			continue
		}
		if len(d.Allow) > 0 && len(ofFamily(d.Allow, f)) == 0 {
			continue
		}
		if slices.ContainsFunc(ofFamily(d.Deny, f), func(p netip.Prefix) bool { return p.Bits() == 0 }) {
			continue
		}
		out = append(out, d)
	}
	return out
}

// ofFamily returns the prefixes of one family.
func ofFamily(all []netip.Prefix, f family) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range all {
		if f.has(p.Addr()) {
			out = append(out, p.Masked())
		}
	}
	return out
}

// prefix returns how much of the address a door opens.
func (d *door) prefix(f family) int {
	n := d.OpenPrefix4
	if f == ipv6 {
		n = d.OpenPrefix6
	}
	if n == 0 {
		return f.bits()
	}
	return n
}

// spared returns the ports that fail no attempt at a strict door, steps of
// whatever door among them.
func (d *door) spared() []knock.PortRange {
	if !d.Strict {
		return nil
	}
	return d.StrictIgnore
}

// last returns the number of the last step.
func (d *door) last() int { return len(d.Sequence) }

// anyTarget reports whether some door watches a named destination.
func (p *plan) anyTarget() bool {
	return slices.ContainsFunc(p.doors, func(d *door) bool { return d.Target.IsValid() })
}

// anyStrict reports whether some door is strict.
func (p *plan) anyStrict() bool {
	return slices.ContainsFunc(p.doors, func(d *door) bool { return d.Strict && d.last() > 1 })
}

// steps returns every step of the doors once, in order.
func steps(doors []*door) []knock.Step {
	var out []knock.Step
	for _, d := range doors {
		out = append(out, d.Sequence...)
	}
	return sortSteps(out)
}

func sortSteps(s []knock.Step) []knock.Step {
	slices.SortFunc(s, func(a, b knock.Step) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Port, b.Port))
	})
	return slices.Compact(s)
}

// ofProtocol returns the steps of one protocol.
func ofProtocol(all []knock.Step, proto knock.Protocol) []knock.Step {
	return slices.DeleteFunc(slices.Clone(all), func(s knock.Step) bool { return s.Proto != proto })
}

// watched reports whether knocks on a step's port are only watched: the whole
// ruleset is to, a program listens there, or a door opens that very port and
// so decides itself who gets through.
func (p *plan) watched(s knock.Step) bool {
	return p.opt.Observe || slices.Contains(p.opt.Live, s) || p.guarded(s)
}

// guarded reports whether some door opens the port.
func (p *plan) guarded(s knock.Step) bool {
	return slices.ContainsFunc(p.doors, func(d *door) bool {
		return slices.ContainsFunc(d.Open, func(r knock.PortRange) bool { return r.Has(s) })
	})
}

// span is a run of ports and the doors that open it.
type span struct {
	knock.PortRange
	doors []*door
}

// spans cuts what the doors open into runs that do not overlap.
func (p *plan) spans(proto knock.Protocol) []span {
	var ranges []knock.PortRange
	for _, d := range p.doors {
		ranges = append(ranges, d.Open...)
	}
	var out []span
	for _, piece := range knock.SplitPorts(ranges, proto) {
		s := span{piece, p.openers(piece)}
		if n := len(out); n > 0 && int(out[n-1].Last)+1 == int(s.First) && slices.Equal(out[n-1].doors, s.doors) {
			out[n-1].Last = s.Last
		} else if len(s.doors) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// openers returns the doors that open all of a run that none opens in part.
func (p *plan) openers(r knock.PortRange) []*door {
	var out []*door
	for _, d := range p.doors {
		if slices.ContainsFunc(d.Open, func(o knock.PortRange) bool { return o.Holds(r) }) {
			out = append(out, d)
		}
	}
	return out
}
