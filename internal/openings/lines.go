package openings

import (
	"knockd/internal/event"
	"knockd/internal/knock"
)

// What happens to openings, for the log. Nothing is said twice only because it
// is tried again.

func (s *schedule) say(e event.Event) { s.tasks = append(s.tasks, task{do: say, event: e}) }

// described returns the opening as events name it.
func described(o *knock.Opening, t knock.Traits) event.Opening {
	return event.Opening{
		Door: o.Door, Knocker: event.Knocker{Addr: o.Addr, Host: o.Host}, For: o.For(), Native: !t.Runs, What: o.What,
		Stays: !closes(o, t), Client: o.Vars.Client, UID: o.UID,
	}
}

func (e *entry) described() event.Opening { return described(&e.Opening, e.traits) }

func (s *schedule) announceStart(e *entry) {
	switch {
	case e.process != 0:
		s.say(event.CommandOrphaned{Opening: e.described(), PID: e.process})
	case e.traits.Runs && e.delays.first.IsZero():
		s.say(event.CommandStarted{Opening: e.described(), Command: e.Args.Start})
	}
}

// announceWait says that all workers are taken that the door may have.
func (s *schedule) announceWait(e *entry) {
	p := &s.crew(e).starts
	s.say(event.Waiting{Opening: e.described(), OfDoor: p.has(e.Door), InAll: p.taken})
}

// announceDelay says why an opening is tried again, if that is news.
func (s *schedule) announceDelay(e *entry, before tries, r Result) {
	if before.first.IsZero() || !before.last.alike(r) {
		s.say(event.Failed{Opening: e.described(), Again: true, Err: r.Err})
	}
}

// refusal says that an opening is refused, after so many others of which
// nothing was said.
func (s *schedule) refusal(o *knock.Opening, leftOut int) event.Event {
	return event.Refused{Opening: described(o, s.action(o).Traits()), Held: s.places.taken, OfDoor: s.places.has(o.Door), LeftOut: leftOut}
}

func (s *schedule) reportStart(e *entry, r Result) {
	late := !e.delays.first.IsZero()
	switch {
	case e.traits.Runs && late && r.neverRan():
		s.say(event.GivenUp{Opening: e.described(), Result: event.Result(r), Command: e.Args.Start})
	case e.traits.Runs && (late || !r.ok()):
		s.say(event.CommandEnded{Opening: e.described(), Again: late, Result: event.Result(r)})
	case e.traits.Runs:
	case r.Err != nil:
		s.say(event.Failed{Opening: e.described(), Err: r.Err})
		if e.why == "" {
			e.why = "it did not open well" // and what is half open closes
		}
	default:
		s.say(event.Opened{Opening: e.described(), Timeout: e.Timeout})
	}
}

// announceStop says why and what; not again when it is tried again.
func (s *schedule) announceStop(e *entry) {
	if e.traits.Runs && e.tries.first.IsZero() {
		s.say(event.Closed{Opening: e.described(), Why: e.why})
		s.say(event.CommandStarted{Opening: e.described(), Stop: true, Command: e.Args.Stop})
	}
}

// reportStop says how a stop command ended, if that is news.
func (s *schedule) reportStop(e *entry, r Result) {
	again := !e.tries.first.IsZero()
	switch {
	case again && r.alike(e.tries.last):
	case e.traits.Runs && (again || !r.ok()):
		s.say(event.CommandEnded{Opening: e.described(), Stop: true, Again: again, Result: event.Result(r)})
	case e.traits.Runs:
	case r.Err != nil:
		s.say(event.Failed{Opening: e.described(), Close: true, Err: r.Err})
	default:
		s.say(event.Closed{Opening: e.described(), Why: e.why})
	}
}

func (s *schedule) giveUp(e *entry, r Result) {
	s.say(event.GivenUp{Opening: e.described(), Close: true, Result: event.Result(r), Command: e.Args.Stop})
}

// alike reports whether a result reads as another one.
func (r Result) alike(other Result) bool {
	return event.Result(r).String() == event.Result(other).String()
}
