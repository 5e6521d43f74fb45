package control

import (
	"fmt"
	"strings"
	"time"
)

// Error is an error of the interface: it has a name there, and its fields are
// its parameters.
type Error interface {
	error
	// Name is the error as a reply names it.
	Name() string
}

// NotAllowed says that the caller's rank is too low.
type NotAllowed struct {
	Method string `json:"method"`
}

// NoSuchDoor says that no door bears a name.
type NoSuchDoor struct {
	Door string `json:"door"`
}

// NotForced says that something takes force.
type NotForced struct {
	Reason string `json:"reason"`
}

// CannotOpen says that a door cannot be opened now.
type CannotOpen struct {
	Door   string `json:"door"`
	Reason string `json:"reason"`
}

// ReloadRefused says that a new configuration is not used.
type ReloadRefused struct {
	Faults  []string `json:"faults"`
	Restart []string `json:"restart"` // what only a restart can change
}

// Failed says that what was asked for failed.
type Failed struct {
	Reason string `json:"reason"`
}

// TooMany says that no more of something go on at a time.
type TooMany struct {
	What  string `json:"what"`
	Limit int    `json:"limit"`
}

// TrialRuns says that a trial goes on already.
type TrialRuns struct {
	Left Seconds `json:"left"`
}

// NoTrial says that nothing is on trial, or that it is over.
type NoTrial struct {
	Over bool     `json:"over"`
	Open []string `json:"open"`
}

// Ending says that knockd ends.
type Ending struct{}

// Name implements Error.
func (*NotAllowed) Name() string { return Interface + ".NotAllowed" }

// Name implements Error.
func (*NoSuchDoor) Name() string { return Interface + ".NoSuchDoor" }

// Name implements Error.
func (*NotForced) Name() string { return Interface + ".NotForced" }

// Name implements Error.
func (*CannotOpen) Name() string { return Interface + ".CannotOpen" }

// Name implements Error.
func (*ReloadRefused) Name() string { return Interface + ".ReloadRefused" }

// Name implements Error.
func (*Failed) Name() string { return Interface + ".Failed" }

// Name implements Error.
func (*TooMany) Name() string { return Interface + ".TooMany" }

// Name implements Error.
func (*TrialRuns) Name() string { return Interface + ".TrialRuns" }

// Name implements Error.
func (*NoTrial) Name() string { return Interface + ".NoTrial" }

// Name implements Error.
func (*Ending) Name() string { return Interface + ".Ending" }

func (e *NotAllowed) Error() string {
	return strings.TrimPrefix(e.Method, Interface+".") + ": for root and ControlAdmins alone"
}

func (e *NoSuchDoor) Error() string { return fmt.Sprintf("no door is called %q", e.Door) }

func (e *NotForced) Error() string { return e.Reason }

func (e *CannotOpen) Error() string { return e.Door + ": not opened: " + e.Reason }

func (e *ReloadRefused) Error() string {
	text := strings.Join(e.Faults, "\n")
	if len(e.Restart) > 0 {
		text = strings.TrimPrefix(text+"\nonly a restart can change: "+strings.Join(e.Restart, ", "), "\n")
	}
	return text
}

func (e *Failed) Error() string { return e.Reason }

func (e *TooMany) Error() string {
	return fmt.Sprintf("too many %s: at most %d at a time", e.What, e.Limit)
}

func (e *TrialRuns) Error() string {
	return fmt.Sprintf("a trial goes on for another %v", time.Duration(e.Left).Round(time.Second))
}

func (e *NoTrial) Error() string {
	switch {
	case !e.Over:
		return "nothing is on trial"
	case len(e.Open) == 0:
		return "the trial is over"
	}
	return "the trial is over: not guarded: " + strings.Join(e.Open, ", ")
}

func (*Ending) Error() string { return "knockd ends" }

// Errors returns one of each, to be filled in from a reply.
func Errors() []Error {
	return []Error{&NotAllowed{}, &NoSuchDoor{}, &NotForced{}, &CannotOpen{}, &ReloadRefused{}, &Failed{}, &TooMany{}, &TrialRuns{}, &NoTrial{}, &Ending{}}
}
