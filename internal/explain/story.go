package explain

import (
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"knockd/internal/knock"
	"knockd/internal/spa"
)

// Packet is a packet and what it was.
type Packet struct {
	At       time.Time
	Hit      knock.Hit // without its port if that is a secret of somebody else
	Verdicts []knock.Verdict
	Message  *spa.Verdict // of doors with keys; nil: it went to none
	Note     string       // what else is known of it; may be empty
	Unheard  string       // the interface that it came in on, if knockd does not listen there

	hidden bool   // its port was a secret
	said   string // the words of who decided on the message; "": our own
}

// Concerns reports whether a packet concerns a door.
func (p *Packet) Concerns(door string) bool {
	is := func(d knock.DoorID) bool { return d.String() == door }
	return slices.ContainsFunc(p.Verdicts, func(v knock.Verdict) bool { return is(v.Door) || is(v.Of) }) ||
		p.Message != nil && is(p.Message.Door)
}

// Common reports whether a packet is of the kind that floods consist of: a first
// hit, or nobody's.
func (p *Packet) Common() bool {
	if p.Message != nil {
		return p.Message.Outcome <= spa.Unknown
	}
	return firstHits(p.Verdicts) || knock.Foremost(p.Verdicts) <= knock.WrongFlags
}

// Story is what a source sent while it knocked, from its first packet to the end
// of its attempts.
type Story struct {
	Source  netip.Addr
	Packets []Packet // in time order, at most maxPackets
	LeftOut int      // packets in between that are not among them
	Verdict string   // what became of it, in a sentence
	Advice  string   // what to do about it; may be empty
	Doors   []Visit  // the doors that it concerns
	End     time.Time

	all      int       // packets, those that are left out too
	relevant time.Time // the latest packet that concerns a door
	worth    bool      // it is told, and not only counted
	cut      bool      // it ended early, to make room for others
	message  *Packet   // the latest with one
	ignored  *Packet   // the latest that was ignored
	used     *Line     // the used line that was knocked
	usedHits int
	unheard  int     // packets that came where knockd does not listen
	stranger *Packet // who tried what was opened for this source
	opening  *opening
	due      time.Time // when it is over
	until    time.Time // zero: all of it has come; else more may come after that
	place    int       // in the heap
}

// Visit is what a story was at one door.
type Visit struct {
	Door    knock.DoorID
	Steps   int
	Timeout time.Duration // seq_timeout
	Began   time.Time     // of the last attempt; zero: there was none
	Opened  time.Time     // zero: it did not open
	Open    time.Duration // cmd_timeout, if it opened; 0: until somebody closes it
	Marks   []Mark        // at most maxMarks

	live    bool   // an attempt goes on
	stage   int    // of it, or of the last one
	best    int    // the furthest stage
	seen    uint32 // the steps that came, whatever they were for
	fate    fate   // of the last attempt
	ended   knock.Verdict
	endedBy Packet // without verdicts
	odd     knock.Verdict
	oddBy   Packet // the same
	oddSeen bool
	refused string // why it did not open although it was complete
}

// Mark is a packet in the picture of a visit.
type Mark struct {
	At   time.Time
	Step int // it is, from 1; 0: none
	Kind MarkKind
	Text string
}

// MarkKind is what a packet was for a picture.
type MarkKind uint8

// The kinds.
const (
	MarkNothing MarkKind = iota
	MarkStep
	MarkEnd
)

// fate is how an attempt ended.
type fate uint8

const (
	noAttempt fate = iota
	opened
	failed
	expired
	late // expired, and the next step came after that
)

// Bounds of a story.
const (
	maxPackets = 60 // the first 40 and the last 20
	keepFirst  = 40
	maxVisits  = 32
	maxMarks   = 60
)

// add adds a packet.
func (s *Story) add(p Packet) {
	s.all++
	if len(s.Packets) == maxPackets {
		copy(s.Packets[keepFirst:], s.Packets[keepFirst+1:])
		s.Packets = s.Packets[:maxPackets-1]
		s.LeftOut++
	}
	s.Packets = append(s.Packets, p)
	s.End = p.At
	s.expire(p.At)
	for i := range p.Verdicts {
		s.judge(&p, &p.Verdicts[i])
	}
	if p.Message != nil {
		s.message = &p
	}
}

// concerns reports whether a packet concerns a door, and whether it makes the story
// worth telling.
func (s *Story) weigh(p *Packet, used bool) (relevant bool) {
	relevant = used || p.Message != nil && p.Message.Outcome > spa.Untried
	if used {
		s.usedHits++
	}
	if p.Unheard != "" {
		relevant = true
		s.unheard++
	}
	s.worth = s.worth || s.unheard > 1 || p.Message != nil && p.Message.Outcome > spa.Untried
	for i := range p.Verdicts {
		v := &p.Verdicts[i]
		if v.Outcome == knock.NoStep || v.Outcome == knock.WrongFlags && laterPacket(&p.Hit) {
			continue
		}
		relevant = true
		if v.Outcome == knock.IgnoredSource {
			s.worth = s.worth || s.ignored != nil
			s.ignored = p
		}
		s.worth = s.worth || v.Outcome == knock.Ended || v.Outcome == knock.Took && (v.Stage > 1 || v.Opens()) || v.Late()
		if d := s.visit(v); d != nil && v.Step > 0 && v.Outcome != knock.Repeat {
			d.seen |= 1 << (v.Step - 1)
			s.worth = s.worth || bits.OnesCount32(d.seen) > 1 || d.Steps == 1 && v.Outcome > knock.Elsewhere
		}
	}
	return relevant
}

// visit returns the visit to a door, nil if there are too many.
func (s *Story) visit(v *knock.Verdict) *Visit {
	if v.Door.Name == "" {
		return nil
	}
	for i := range s.Doors {
		if s.Doors[i].Door == v.Door {
			return &s.Doors[i]
		}
	}
	if len(s.Doors) == maxVisits {
		return nil
	}
	s.Doors = append(s.Doors, Visit{Door: v.Door, Steps: int(v.Steps), Timeout: v.Timeout})
	return &s.Doors[len(s.Doors)-1]
}

// expire ends attempts whose time is over.
func (s *Story) expire(now time.Time) {
	for i := range s.Doors {
		if d := &s.Doors[i]; d.live && !now.Before(d.deadline()) {
			d.live, d.fate = false, expired
		}
	}
}

// deadline is when the attempt is over.
func (d *Visit) deadline() time.Time { return d.Began.Add(d.Timeout) }

// judge takes in a verdict.
func (s *Story) judge(p *Packet, v *knock.Verdict) {
	d := s.visit(v)
	if d == nil {
		return
	}
	by := *p
	by.Verdicts = nil
	mark := Mark{At: p.At, Step: int(v.Step), Text: Words(&p.Hit, v)}
	switch v.Outcome {
	case knock.Took:
		mark.Kind = MarkStep
		d.Began, d.live, d.stage = p.At.Add(-v.Age), true, int(v.Stage)
		d.best = max(d.best, d.stage)
		if v.Opens() {
			d.live, d.fate, d.Opened = false, opened, p.At
		}
	case knock.Ended:
		mark.Kind = MarkEnd
		d.live, d.fate, d.stage, d.ended, d.endedBy = false, failed, int(v.Stage), *v, by
		d.Began = p.At.Add(-v.Age)
		d.best = max(d.best, d.stage)
	default:
		if v.Late() && d.fate != failed && d.fate != opened {
			mark.Kind = MarkEnd
			d.fate, d.stage, d.ended, d.endedBy = late, int(v.Stage), *v, by
			d.best = max(d.best, d.stage)
			if d.Began.IsZero() {
				d.Began = p.At.Add(-v.Since - v.Timeout)
			}
		} else if !d.oddSeen || tellsMore(v, &d.odd) {
			d.odd, d.oddBy, d.oddSeen = *v, by, true
		}
	}
	if len(d.Marks) < maxMarks {
		d.Marks = append(d.Marks, mark)
	}
}

// tellsMore reports whether a verdict says more than another why no attempt began:
// that on the earlier step.
func tellsMore(v, than *knock.Verdict) bool {
	if v.Step != than.Step {
		return v.Step < than.Step
	}
	return v.Outcome > than.Outcome
}

// liveUntil is when the last attempt that goes on is over; zero: none goes on.
func (s *Story) liveUntil() (until time.Time) {
	for i := range s.Doors {
		if d := &s.Doors[i]; d.live && d.deadline().After(until) {
			until = d.deadline()
		}
	}
	return until
}

// begin is the time of the first packet.
func (s *Story) begin() time.Time { return s.Packets[0].At }
