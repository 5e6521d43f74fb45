package event

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"knockd/internal/knock"
)

// Knocker is who knocks, as the log names it.
type Knocker struct {
	Addr netip.Addr
	Host string // its name, if it was looked up
}

// String returns the address, with the name behind it.
func (k Knocker) String() string {
	if k.Host == "" {
		return k.Addr.String()
	}
	return k.Addr.String() + " (" + k.Host + ")"
}

// at appends what happened to the knocker at a door. A flood makes so many of
// these lines that it counts what each costs.
func (k Knocker) at(b []byte, door knock.DoorID, what string) []byte {
	b = k.Addr.AppendTo(b)
	if k.Host != "" {
		b = append(append(append(b, " ("...), k.Host...), ')')
	}
	return append(append(append(append(b, ": "...), door.Name...), ": "...), what...)
}

// Stage says that a knocker has taken a step.
type Stage struct {
	limited
	Door    knock.DoorID
	Knocker Knocker
	Stage   int // 1 after the first step
	Steps   int `event:""` // that the door has: for admins at the control socket alone
}

func (e Stage) Text() string {
	var b [128]byte
	return string(e.AppendText(b[:0]))
}

// AppendText implements Appender.
func (e Stage) AppendText(b []byte) []byte {
	return strconv.AppendInt(e.Knocker.at(b, e.Door, "Stage "), int64(e.Stage), 10)
}

// Expired says that seq_timeout passed before the sequence was complete.
type Expired struct {
	limited
	Door    knock.DoorID
	Knocker Knocker
	Stage   int
}

func (e Expired) Text() string {
	var b [128]byte
	return string(e.AppendText(b[:0]))
}

// AppendText implements Appender.
func (e Expired) AppendText(b []byte) []byte {
	return append(strconv.AppendInt(e.Knocker.at(b, e.Door, "sequence timeout (stage "), int64(e.Stage), 10), ')')
}

// AttemptFailed says that a hit has ended an attempt.
type AttemptFailed struct {
	Door    knock.DoorID
	Knocker Knocker
	Stage   int             // how far the attempt was
	Of      knock.DoorID    // a door that has the port hit in its sequence; or
	Hit     knock.PortRange // the port that was hit, if none has
	Logged  bool            `event:""` // LogFailures
}

// more says in a word why.
func (e AttemptFailed) more() []Field {
	reason := "stray-port"
	switch e.Of {
	case knock.DoorID{}:
	case e.Door:
		reason = "wrong-step"
	default:
		reason = "step-of-other-door"
	}
	return []Field{{"reason", reason}}
}

// Audience implements Event: without LogFailures the log does without.
func (e AttemptFailed) Audience() Audience {
	if e.Logged {
		return Log | Verbose | Limited
	}
	return Verbose | Limited
}

func (e AttemptFailed) Text() string {
	hit := fmt.Sprintf("hit %v, and the door is strict", e.Hit)
	switch e.Of {
	case knock.DoorID{}:
	case e.Door:
		hit = "hit a port of " + e.Of.Name + " out of order"
	default:
		hit = "hit a port of " + e.Of.Name
	}
	return fmt.Sprintf("%v: %s: attempt failed after stage %d: %s", e.Knocker, e.Door.Name, e.Stage, hit)
}

// Admitted says that a door opens, for a sequence that is complete or for a
// message.
type Admitted struct {
	notice
	Door    knock.DoorID
	Knocker Knocker
}

func (e Admitted) Text() string {
	var b [128]byte
	return string(e.Knocker.at(b[:0], e.Door, "OPEN SESAME"))
}

// Ignored says that a knocker has failed too often.
type Ignored struct {
	notice
	Door     knock.DoorID // the last one
	Knocker  Knocker
	For      time.Duration
	Failures int
}

func (e Ignored) Text() string {
	return fmt.Sprintf("%v: ignored for %.0f s after %d failed attempts", e.Knocker, e.For.Seconds(), e.Failures)
}

// Evicted says that attempts were given up to make room for others.
type Evicted struct {
	notice
	Limit    int // MaxAttempts
	Attempts uint64
	Door     knock.DoorID // of the last one
}

func (e Evicted) Text() string {
	return fmt.Sprintf("MaxAttempts (%d) reached: attempts given up: %d, at last the oldest at %s", e.Limit, e.Attempts, e.Door.Name)
}

// SequencesExhausted says that all one-time sequences of a door are used. The
// words are knockd 0.8's.
type SequencesExhausted struct {
	warning
	Door knock.DoorID
}

func (e SequencesExhausted) Text() string {
	return "no more sequences left in the one time sequences file for door " + e.Door.Name + " --> disabling the door"
}

// SequenceNotMarked says that a one-time sequence could not be marked as used,
// and opens nothing.
type SequenceNotMarked struct {
	warning
	Door knock.DoorID
	Err  error
}

func (e SequenceNotMarked) Text() string {
	return fmt.Sprintf("%s: not opened: mark the sequence as used: %v", e.Door.Name, e.Err)
}

// SequenceNotRead says that the next one-time sequence could not be read.
type SequenceNotRead struct {
	warning
	Door  knock.DoorID
	Err   error
	Again bool // the next knock tries again; else the door is disabled
}

func (e SequenceNotRead) Text() string {
	text := fmt.Sprintf("%s: read the next sequence: %v", e.Door.Name, e.Err)
	if !e.Again {
		text += " --> disabling the door"
	}
	return text
}

// LineSkipped says that a line of a file of one-time sequences is none.
type LineSkipped struct {
	warning
	Door knock.DoorID
	File string
	Line int
}

func (e LineSkipped) Text() string {
	return fmt.Sprintf("%s:%d: not a sequence, skipped", e.File, e.Line)
}
