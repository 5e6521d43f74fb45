package knock

import (
	"net/netip"
	"time"
)

// Outcome is the kind of a Verdict. A greater one says more.
type Outcome uint8

// The outcomes.
const (
	// NoStep: no door has the hit's port.
	NoStep Outcome = iota
	// IPv6Hit: the hit is one of IPv6, and IPv4 alone is listened to. A Tracker
	// does not say so, who asks it does.
	IPv6Hit
	// Elsewhere: the door has the port, and watches other destinations.
	Elsewhere
	// WrongFlags: the door asks for other TCP flags.
	WrongFlags
	// NotAllowed: the door's allow or deny leaves the hit's source out.
	NotAllowed
	// WrongLength: the door asks for another length of the payload.
	WrongLength
	// IgnoredSource: the source has failed too often.
	IgnoredSource
	// Repeat: the hit is a repeat of one that took a step.
	Repeat
	// CoolingDown: the door has opened, and does nothing for a while.
	CoolingDown
	// OutOfTurn: the port is that of a later step, and the source has no attempt
	// at the door.
	OutOfTurn
	// Held: the port is that of the first step, and no attempt begins, because
	// the hit was one for an attempt that the source had already.
	Held
	// LetPass: the source's attempt goes on as if there had been no hit.
	LetPass
	// Ended: the hit has ended the source's attempt.
	Ended
	// Took: the hit took a step.
	Took
)

var outcomeNames = [...]string{
	NoStep: "no step of a door here", IPv6Hit: "no step of a door here", Elsewhere: "no step of a door here", WrongFlags: "not the flags that are asked for",
	NotAllowed: "its source is not allowed", WrongLength: "not a length that is asked for", IgnoredSource: "its source is ignored",
	Repeat: "a repeat", CoolingDown: "no effect", OutOfTurn: "no effect", Held: "no effect", LetPass: "no effect",
	Ended: "ends an attempt", Took: "a step",
}

// String returns the outcome in a few words.
func (o Outcome) String() string { return outcomeNames[o] }

// Verdict is what a hit was to a door, or to none. It holds no port.
type Verdict struct {
	Outcome Outcome
	Lapse   Lapse  // with OutOfTurn: how the source's last attempt ended, if it is known
	Strict  bool   // with Ended: by any hit, not only by one on a door's port
	Steps   uint8  // how many steps the door has
	Step    uint8  // which of them the hit's port is, from 1; 0: none
	Stage   uint8  // how far the source's attempt is: with Took after the hit, else before; 0: there is none
	Door    DoorID // zero: of none
	Of      DoorID // with Ended: a door that has the hit's port in its sequence

	Asks    FlagMatch  // with WrongFlags: for what
	Lengths Lengths    // with WrongLength: which
	Target  netip.Addr // with Elsewhere: what the door watches; the zero Addr: addresses of this host

	Age     time.Duration // of the source's attempt
	Timeout time.Duration // seq_timeout of the door
	// Left is for how long hits still do nothing, with IgnoredSource and
	// CoolingDown.
	Left time.Duration
	// Since is for how long there has been no attempt, with Lapse.
	Since time.Duration
	// Failures is how many led to IgnoredSource.
	Failures int
}

// Opens reports whether the hit opened the door.
func (v *Verdict) Opens() bool { return v.Outcome == Took && v.Stage == v.Steps }

// Late reports whether the hit would have been the next step of an attempt whose
// time was over: by Since.
func (v *Verdict) Late() bool {
	return v.Outcome == OutOfTurn && v.Lapse == LapseExpired && v.Step == v.Stage+1
}

// Foremost returns the outcome that says most; NoStep of none.
func Foremost(verdicts []Verdict) (o Outcome) {
	for i := range verdicts {
		o = max(o, verdicts[i].Outcome)
	}
	return o
}

// Lapse is how an attempt ended.
type Lapse uint8

// The lapses. With each of them, Verdict.Stage is how far the attempt was.
const (
	LapseExpired Lapse = iota + 1 // seq_timeout passed
	LapseFailed                   // a hit ended it
	LapseEvicted                  // it made room for others
	LapseOpened                   // it was complete
)
