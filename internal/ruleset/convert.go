package ruleset

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"knockd/internal/config"
)

// FromConfig turns the doors of a configuration into what a ruleset needs, and
// says in notes what differs from what the daemon would do. Of several names
// only these doors are taken; none means all. The error names every door, key
// and place that a ruleset cannot do.
func FromConfig(c *config.Config, names []string) (doors []*Door, notes []string, err error) {
	var errs []error
	chosen, err := choose(c.Doors, names)
	errs = append(errs, err)
	if c.MaxFailures != (config.FailureLimit{}) {
		errs = append(errs, errors.New("[options] max_failures: a ruleset cannot do that; leave the doors to knockd"))
	}
	rules := map[*config.Door]*converted{}
	for _, d := range c.Doors {
		rules[d] = convert(d)
	}
	for _, d := range c.Doors {
		rules[d].closing(c.Doors, rules)
	}
	for _, d := range chosen {
		r := rules[d]
		errs = append(errs, r.faults(d)...)
		notes = append(notes, r.notes...)
		doors = append(doors, r.door)
	}
	return doors, notes, errors.Join(errs...)
}

// choose returns the doors with the given names, in file order.
func choose(all []*config.Door, names []string) ([]*config.Door, error) {
	if len(names) == 0 {
		return all, nil
	}
	named := map[string]bool{}
	for _, n := range names {
		named[n] = true
	}
	var out []*config.Door
	for _, d := range all {
		if named[d.Name] {
			out = append(out, d)
		}
	}
	var errs []error
	for _, n := range names {
		if !slices.ContainsFunc(all, func(d *config.Door) bool { return d.Name == n }) {
			errs = append(errs, fmt.Errorf("no door is called %q", n))
		}
	}
	return out, errors.Join(errs...)
}

// converted is a door on its way.
type converted struct {
	door     *Door
	start    rule  // what its start command does, if anything usual
	startErr error // why it is not
	stopErr  error
	sixErr   error // why IPv6 knockers would get something else
	stopErr6 error
	notes    []string
}

// convert reads a door without looking at the others.
func convert(d *config.Door) *converted {
	r := &converted{door: &Door{
		Door: d.Door, CmdTimeout: d.CmdTimeout,
		OpenPrefix4: d.OpenPrefix4, OpenPrefix6: d.OpenPrefix6,
	}}
	r.door.Open = slices.Clone(d.Open)
	if d.Close != "" {
		r.door.Closes = []string{d.Close}
	}
	if d.StartCommand != "" {
		r.start, r.startErr = parseRule(d.StartCommand)
	}
	if len(d.Open) > 0 || d.Close != "" {
		r.replaced(d)
		return r
	}
	r.derive(d)
	return r
}

// replaced notes the commands that a door has beside what says what opens.
func (r *converted) replaced(d *config.Door) {
	if d.StartCommand != "" || d.StopCommand != "" {
		key := "open"
		if len(d.Open) == 0 {
			key = "close"
		}
		r.notes = append(r.notes, fmt.Sprintf("[%s] a ruleset runs no commands: %s says what happens", d.Name, key))
	}
	r.startErr, r.start = nil, rule{}
}

// derive finds out from the start command what opens.
func (r *converted) derive(d *config.Door) {
	if r.startErr != nil || d.StartCommand == "" {
		return
	}
	r.sixth(d)
	if r.start.delete {
		return
	}
	r.door.Open, r.door.OpenOn = r.start.ports, r.start.in
	if r.start.assumedTCP {
		r.notes = append(r.notes, fmt.Sprintf("[%s] start_command: names no protocol (-p), read as tcp", d.Name))
	}
	if d.StopCommand == "" {
		r.door.CmdTimeout = 0 // nothing closes it, as in knockd 0.8
		return
	}
	if d.CmdTimeout == 0 {
		r.stopErr = errors.New("runs at once (cmd_timeout = 0), so that the door never is open")
		return
	}
	stop, err := parseRule(d.StopCommand)
	if err == nil && !(stop.delete && stop.same(r.start)) {
		err = errors.New("is not the start command's iptables with -D in place of -A")
	}
	r.stopErr = err
}

// sixth compares what IPv6 knockers get with what IPv4 knockers get.
func (r *converted) sixth(d *config.Door) {
	if d.StartCommand6 == "" {
		r.door.Deny = append(slices.Clone(r.door.Deny), netip.PrefixFrom(netip.IPv6Unspecified(), 0))
		r.notes = append(r.notes, fmt.Sprintf("[%s] start_command_6: is empty, so the door takes no knock over IPv6", d.Name))
		return
	}
	six, err := parseRule(d.StartCommand6)
	if err != nil || !six.same(r.start) || six.delete != r.start.delete {
		r.sixErr = errors.New("does not do for IPv6 what start_command does for IPv4")
		return
	}
	stop, err := parseRule(d.StopCommand6)
	if d.StopCommand6 != d.StopCommand && (err != nil || !stop.delete || !stop.same(r.start)) {
		r.stopErr6 = errors.New("does not do for IPv6 what stop_command does for IPv4")
	}
}

// closing finds the doors whose rule a start command with -D deletes.
func (r *converted) closing(all []*config.Door, rules map[*config.Door]*converted) {
	if !r.start.delete {
		return
	}
	for _, d := range all {
		o := rules[d]
		if o.startErr == nil && len(o.start.ports) > 0 && !o.start.delete && o.start.same(r.start) {
			r.door.Closes = append(r.door.Closes, d.Name)
		}
	}
	if len(r.door.Closes) == 0 {
		r.startErr = errors.New("deletes a rule that no door's start_command adds")
	}
}

// faults lists what a ruleset cannot do for a door.
func (r *converted) faults(d *config.Door) (errs []error) {
	fault := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: [%s] %s: %s", d.Place, d.Name, key, fmt.Sprintf(format, args...)))
	}
	const never = "a ruleset cannot do that; leave the door to knockd"
	keys, reasons := d.NoRuleset()
	for i, key := range keys {
		fault(key, "%s", reasons[i])
	}
	for _, s := range d.Sequence {
		if s.Port == 0 {
			fault("sequence", "a step *: %s", never)
			break
		}
	}
	for _, proto := range d.OpenNamed {
		fault("open", "%s/*: %s", proto, never)
	}
	if d.OneTimeFile != "" || d.SPA != nil {
		return errs
	}
	return append(errs, r.commandFaults(d)...)
}

// commandFaults lists the commands that say nothing usual, with what to add.
func (r *converted) commandFaults(d *config.Door) (errs []error) {
	fault := func(key string, err error) {
		errs = append(errs, fmt.Errorf("%s: [%s] %s: %w; a ruleset runs no commands: add open = tcp/22 (the ports it shall open) or close = DOOR", d.Place, d.Name, key, err))
	}
	switch {
	case r.startErr != nil:
		fault("start_command", r.startErr)
	case r.sixErr != nil:
		fault("start_command_6", r.sixErr)
	case r.stopErr != nil:
		fault("stop_command", r.stopErr)
	case r.stopErr6 != nil:
		fault("stop_command_6", r.stopErr6)
	case len(r.door.Open) == 0 && len(r.door.Closes) == 0 && len(d.OpenNamed) == 0:
		fault("open", errors.New("nothing says what opens"))
	}
	return errs
}

// Interfaces returns those on which knocks count by the configuration, nil if
// it names none or all.
func Interfaces(c *config.Config) ([]string, error) {
	for _, name := range c.Interfaces {
		switch {
		case name == config.AnyInterface:
			return nil, nil
		case name == config.DefaultRoute:
			return nil, fmt.Errorf("interface = %s: a ruleset cannot follow it; name the interface", name)
		case strings.Contains(name, ":"):
			return nil, fmt.Errorf("interface = %s: a ruleset knows no labels of addresses; name the interface, and the address as target of the doors", name)
		}
	}
	return c.Interfaces, nil
}
