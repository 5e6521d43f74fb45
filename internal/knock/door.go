package knock

import (
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// MaxSteps is the longest sequence a door can have, as in knockd 0.8.
const MaxSteps = 32

// DefaultTimeout is the seq_timeout of a door that names none, as in knockd 0.8.
const DefaultTimeout = 25 * time.Second

// DefaultDelay is the pause between two hits that the client makes if nothing
// else is asked for. It exceeds the 40 ms by which packets overtake each other on
// a jittery path.
const DefaultDelay = 50 * time.Millisecond

// Step is one hit of a sequence.
type Step struct {
	Proto Protocol
	Port  uint16 // 1-65535; 0 for "*", any of the door's OpenPorts
}

// String returns the step as the configuration writes it: "7000:tcp".
func (s Step) String() string {
	if s.Port == 0 {
		return "*:" + s.Proto.String()
	}
	return strconv.Itoa(int(s.Port)) + ":" + s.Proto.String()
}

// DoorID tells a door from all others, those of the same name included. It
// stays the same when a configuration is read again.
type DoorID struct {
	Name string
	N    int // 1 for the first door of this name in the file, 2 for the second, ...
}

// String returns the name, with "#2" for the second door that bears it.
func (d DoorID) String() string {
	if d.N <= 1 {
		return d.Name
	}
	return d.Name + "#" + strconv.Itoa(d.N)
}

// Door is what the tracker knows of a section of the configuration.
type Door struct {
	Name     string
	N        int           // see DoorID
	Sequence []Step        // 1 to MaxSteps; a door without one never opens
	Timeout  time.Duration // seq_timeout: from the first hit to the last
	Flags    FlagMatch
	Target   netip.Addr // the destination to watch; the zero Addr means any local address

	// Who may knock, and how. The zero values change nothing of what knockd
	// 0.8 decides.

	Strict         bool           // any other port fails an attempt, except
	StrictIgnore   []PortRange    // these
	ForgiveRepeats bool           // a further hit on the latest step fails nothing
	Allow          []netip.Prefix // packets of others do not exist for the door; none means everybody
	Deny           []netip.Prefix // nor do theirs, even if Allow has them
	Cooldown       time.Duration  // after an opening hits do nothing for so long; 0 means none
	CooldownForAll bool           // whoever they are from, not only the one it opened for
	PacketLength   Lengths        // packets of other lengths do not exist for the door
	OpenPorts      []PortRange    // what a step of port 0 takes
}

// ID returns what tells the door from others.
func (d *Door) ID() DoorID { return DoorID{d.Name, d.N} }

// takes reports whether the n-th step, from 0, is of the hit's protocol and
// port.
func (d *Door) takes(n int, h *Hit) bool {
	s := d.Sequence[n]
	return s.Proto == h.Proto && (s.Port == h.DstPort || s.Port == 0 && d.names(h.DstPort))
}

// uses reports whether a hit's port is that of a step.
func (d *Door) uses(h *Hit) bool {
	for n := range d.Sequence {
		if d.takes(n, h) {
			return true
		}
	}
	return false
}

// names reports whether a step of port 0 takes a port.
func (d *Door) names(port uint16) bool {
	return slices.ContainsFunc(d.OpenPorts, func(r PortRange) bool { return r.First <= port && port <= r.Last })
}

// ignores reports whether a strict door lets pass hits on this port in the
// middle of an attempt.
func (d *Door) ignores(h *Hit) bool {
	return slices.ContainsFunc(d.StrictIgnore, func(r PortRange) bool { return r.Has(Step{h.Proto, h.DstPort}) })
}
