package nft

import (
	"fmt"
	"slices"

	"knockd/internal/knock"
)

// Mode says whose rules open a door. It is [Guard], [Mark], [Set] or [NAT].
type Mode struct{ *mode }

// modes are all modes there are.
var modes = []Mode{Guard, Mark, Set, NAT}

// mode is what the modes differ in.
type mode struct {
	name string
	// chains returns the chains of the mode's table beside those of the ports,
	// the one that leads to them last. Nil: the mode has no table, and
	// openings are in sets of the host's own rules.
	chains func(*model) []*chain
	// open returns the rule that lets the elements of a set in.
	open func(*target, *Options) rule
	// closes: the doors' ports are closed to all others.
	closes bool
	// translates: an opening leads its port elsewhere, and to one place only.
	translates bool
	// advice returns what Advice does.
	advice func(o Options, t knock.Table, chain string, r knock.PortRange) string
}

// ModeNamed returns the mode that a configuration names: "guard", "mark" or
// "set". The zero value stands for any other name.
func ModeNamed(name string) Mode {
	if i := slices.IndexFunc(modes, func(m Mode) bool { return m.name == name }); i >= 0 {
		return modes[i]
	}
	return Mode{}
}

// String returns "guard", "mark", "set" or "nat".
func (m Mode) String() string { return m.name }

// HasTable reports whether openings are in a table of our own, and not in sets
// of the host's rules.
func (m Mode) HasTable() bool { return m.chains != nil }

// Closes reports whether the doors' ports are closed to all but opened
// addresses.
func (m Mode) Closes() bool { return m.closes }

// Advice returns the end of a sentence that says that a chain of the host's
// rules drops a knocker's packets to a range of ports: what to do about it.
func (m Mode) Advice(o Options, t knock.Table, chain string, r knock.PortRange) string {
	return m.advice(o, t, chain, r)
}

// firewalld is the table of the firewall of that name.
const firewalld = "firewalld"

// useGuard is for modes whose rules firewalld would not keep.
func useGuard(r knock.PortRange) string {
	return fmt.Sprintf("; with firewalld use nft_mode = guard and allow %s in its zone", r)
}
