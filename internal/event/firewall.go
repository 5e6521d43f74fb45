package event

import (
	"fmt"

	"knockd/internal/knock"
)

// GuardDeaf says that nothing is listened on, so nobody can open these ports of
// the guard.
type GuardDeaf struct {
	warning
	Ports []knock.PortRange
	Open  bool // they are open to all; else closed
}

func (e GuardDeaf) Text() string {
	it := "it"
	if several(e.Ports) {
		it = "them"
	}
	if e.Open {
		return Are(e.Ports) + " not guarded until something is listened on"
	}
	return Are(e.Ports) + " closed to all and nothing listens: knockd --cleanup --force opens " + it
}

// Are begins a sentence about ports: "tcp/22 is".
func Are(ports []knock.PortRange) string {
	if several(ports) {
		return knock.PortNames(ports, ", ") + " are"
	}
	return knock.PortNames(ports, ", ") + " is"
}

func several(ports []knock.PortRange) bool { return len(ports) > 1 || ports[0].First < ports[0].Last }

// GuardClosed says that the guard has closed what it had left open, or stays
// when knockd ends.
type GuardClosed struct {
	logOnly
	Ports []knock.PortRange
	Stays bool
}

func (e GuardClosed) Text() string {
	if e.Stays {
		return "the guard keeps closed: " + knock.PortNames(e.Ports, ", ") + " (knockd --cleanup opens them to all)"
	}
	return "the guard closes " + knock.PortNames(e.Ports, ", ")
}

// GuardFailed says that the guard could not close, and is tried again.
type GuardFailed struct {
	warning
	Err error
}

func (e GuardFailed) Text() string { return fmt.Sprintf("close the guard: %v: trying again", e.Err) }

// TableFound says that a table of ours is there that the configuration does not
// use.
type TableFound struct {
	warning
	Table  string
	Guard  bool
	Closes []knock.PortRange // with Guard
}

func (e TableFound) Text() string {
	does := "is still there"
	if e.Guard {
		does = "still closes " + knock.PortNames(e.Closes, ", ") + " to all"
	}
	return fmt.Sprintf("table %s, which another configuration has left, %s; if no other knockd uses it: nft delete table %[1]s", e.Table, does)
}

// TableUnowned says that the kernel lets others change our table.
type TableUnowned struct {
	warning
	Table string
}

func (e TableUnowned) Text() string {
	return "table " + e.Table + " cannot be owned (that needs Linux 6.9): other programs can change it; if they do, it is put back"
}

// Restored says that somebody has changed rules of ours, and they are as they
// were.
type Restored struct {
	warning
	Table    string    // "": the host's sets were made anew
	By       string    // "nft" (process 1)
	Openings int       // that are open again
	Closed   []Opening // that stay closed
}

func (e Restored) Text() string {
	if e.Table == "" {
		return fmt.Sprintf("the sets of native doors were made anew by %s: put back %d openings", e.By, e.Openings)
	}
	return fmt.Sprintf("table %s was changed by %s: put back, with %d openings", e.Table, e.By, e.Openings)
}

// ClosedByOthers says that somebody has ended openings.
type ClosedByOthers struct {
	warning
	By     string
	Closed []Opening
}

func (e ClosedByOthers) Text() string {
	return fmt.Sprintf("%d openings were closed by %s", len(e.Closed), e.By)
}

// RestoreFailed says that what others have changed could not be put back, and
// is tried again.
type RestoreFailed struct {
	warning
	Err error
}

func (e RestoreFailed) Text() string { return fmt.Sprintf("%v: trying again", e.Err) }

// MonitorFailed says that changes by others are not seen for a moment.
type MonitorFailed struct {
	warning
	Err error
}

func (e MonitorFailed) Text() string {
	return fmt.Sprintf("nftables monitor: %v: starting again", e.Err)
}

// SetLacking says that a door has no set for one IP version.
type SetLacking struct {
	warning
	Door         knock.DoorID
	Version, Key string // "IPv4", and what would name a set
}

func (e SetLacking) Text() string {
	return fmt.Sprintf("door %s does not open for %s addresses: it has no %s", e.Door.Name, e.Version, e.Key)
}

// SetUnused says that no rule asks a door's set.
type SetUnused struct {
	warning
	Door             knock.DoorID
	Set, Table, Rule string // Rule would
}

func (e SetUnused) Text() string {
	return fmt.Sprintf("no rule refers to set %s: door %s opens nothing; add to a chain of table %s, before what drops: %s", e.Set, e.Door.Name, e.Table, e.Rule)
}

// TableDeleted says that a table of ours was taken out of the kernel.
type TableDeleted struct {
	notice
	Table string
	NAT   bool
}

func (e TableDeleted) Text() string {
	if e.NAT {
		return "deleted table " + e.Table + ": its ports no longer lead elsewhere"
	}
	return "deleted table " + e.Table + ": the ports it guarded are no longer closed by it"
}

// SetCleared says that the openings in a set were closed.
type SetCleared struct {
	notice
	Set      string
	Elements int
	Shared   bool // it is the host's
}

func (e SetCleared) Text() string {
	if e.Shared {
		return fmt.Sprintf("took %d elements out of set %s", e.Elements, e.Set)
	}
	return fmt.Sprintf("closed %d openings in set %s", e.Elements, e.Set)
}
