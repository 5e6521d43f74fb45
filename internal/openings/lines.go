package openings

import (
	"knockd/internal/event"
	"knockd/internal/knock"
)

// What happens to openings, for the log. Nothing is said twice only because it
// is tried again.

func (s *schedule) say(e event.Event) { s.actions = append(s.actions, action{do: say, event: e}) }

// described returns the opening as events name it.
func described(o *knock.Opening) event.Opening {
	return event.Opening{
		Door: o.Door, Knocker: event.Knocker{Addr: o.Addr, Host: o.Host}, For: o.For(), Native: !byCommand(o), What: o.What,
		Stays: !closes(o), Client: o.Vars.Client, UID: o.UID,
	}
}

func (s *schedule) announceStart(e *entry) {
	switch {
	case e.survivor != 0:
		s.say(event.CommandSurvived{Opening: described(&e.Opening), PID: e.survivor})
	case byCommand(&e.Opening) && e.delays.first.IsZero():
		s.say(event.CommandStarted{Opening: described(&e.Opening), Command: e.Args.Start})
	}
}

// announceWait says that all workers are taken that the door may have.
func (s *schedule) announceWait(e *entry) {
	p := &s.lane(e).starts
	s.say(event.Waiting{Opening: described(&e.Opening), OfDoor: p.has(e.Door), InAll: p.taken})
}

// announceDelay says why an opening is tried again, if that is news.
func (s *schedule) announceDelay(e *entry, before tries, r Result) {
	if before.first.IsZero() || !before.last.alike(r) {
		s.say(event.Failed{Opening: described(&e.Opening), Again: true, Err: r.Err})
	}
}

// refusal says that an opening is refused, after so many others of which
// nothing was said.
func (s *schedule) refusal(o *knock.Opening, leftOut int) event.Event {
	return event.Refused{Opening: described(o), Held: s.places.taken, OfDoor: s.places.has(o.Door), LeftOut: leftOut}
}

func (s *schedule) reportStart(e *entry, r Result) {
	late := !e.delays.first.IsZero()
	switch {
	case byCommand(&e.Opening) && late && r.neverRan():
		s.say(event.GivenUp{Opening: described(&e.Opening), Result: event.Result(r), Command: e.Args.Start})
	case byCommand(&e.Opening) && (late || !r.ok()):
		s.say(event.CommandEnded{Opening: described(&e.Opening), Again: late, Result: event.Result(r)})
	case byCommand(&e.Opening):
	case r.Err != nil:
		s.say(event.Failed{Opening: described(&e.Opening), Err: r.Err})
		if e.why == "" {
			e.why = "it did not open well" // and what is half open closes
		}
	default:
		s.say(event.Opened{Opening: described(&e.Opening), Timeout: e.Timeout})
	}
}

// announceStop says why and what; not again when it is tried again.
func (s *schedule) announceStop(e *entry) {
	if byCommand(&e.Opening) && e.tries.first.IsZero() {
		s.say(event.Closed{Opening: described(&e.Opening), Why: e.why})
		s.say(event.CommandStarted{Opening: described(&e.Opening), Stop: true, Command: e.Args.Stop})
	}
}

// reportStop says how a stop command ended, if that is news.
func (s *schedule) reportStop(e *entry, r Result) {
	again := !e.tries.first.IsZero()
	switch {
	case again && r.alike(e.tries.last):
	case byCommand(&e.Opening) && (again || !r.ok()):
		s.say(event.CommandEnded{Opening: described(&e.Opening), Stop: true, Again: again, Result: event.Result(r)})
	case byCommand(&e.Opening):
	case r.Err != nil:
		s.say(event.Failed{Opening: described(&e.Opening), Close: true, Err: r.Err})
	default:
		s.say(event.Closed{Opening: described(&e.Opening), Why: e.why})
	}
}

func (s *schedule) giveUp(e *entry, r Result) {
	s.say(event.GivenUp{Opening: described(&e.Opening), Close: true, Result: event.Result(r), Command: e.Args.Stop})
}

// alike reports whether a result reads as another one.
func (r Result) alike(other Result) bool {
	return event.Result(r).String() == event.Result(other).String()
}
