package openings

import "knockd/internal/event"

// What happens to openings, for the log. Nothing is said twice only because it
// is tried again.

func (s *schedule) say(e event.Event) { s.actions = append(s.actions, action{do: say, event: e}) }

// described returns the opening as events name it.
func (o *Opening) described() event.Opening {
	return event.Opening{
		Door: o.Door, Knocker: event.Knocker{Addr: o.Addr, Host: o.Host}, For: o.whom(), Native: !o.byCommand(), What: o.What,
	}
}

func (s *schedule) announceStart(e *entry) {
	switch {
	case e.survivor != 0:
		s.say(event.CommandSurvived{Opening: e.described(), PID: e.survivor})
	case e.byCommand() && e.delays.first.IsZero():
		s.say(event.CommandStarted{Opening: e.described(), Command: e.Start})
	}
}

// announceWait says that all workers are taken that the door may have.
func (s *schedule) announceWait(e *entry) {
	p := &s.lane(e).starts
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
func (s *schedule) refusal(o *Opening, leftOut int) event.Event {
	return event.Refused{Opening: o.described(), Held: s.places.taken, OfDoor: s.places.has(o.Door), LeftOut: leftOut}
}

func (s *schedule) reportStart(e *entry, r Result) {
	late := !e.delays.first.IsZero()
	switch {
	case e.byCommand() && late && r.neverRan():
		s.say(event.GivenUp{Opening: e.described(), Result: event.Result(r), Command: e.Start})
	case e.byCommand() && (late || !r.ok()):
		s.say(event.CommandEnded{Opening: e.described(), Again: late, Result: event.Result(r)})
	case e.byCommand():
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
	if e.byCommand() && e.tries.first.IsZero() {
		s.say(event.Closed{Opening: e.described(), Why: e.why})
		s.say(event.CommandStarted{Opening: e.described(), Stop: true, Command: e.Stop})
	}
}

// reportStop says how a stop command ended, if that is news.
func (s *schedule) reportStop(e *entry, r Result) {
	again := !e.tries.first.IsZero()
	switch {
	case again && r.alike(e.tries.last):
	case e.byCommand() && (again || !r.ok()):
		s.say(event.CommandEnded{Opening: e.described(), Stop: true, Again: again, Result: event.Result(r)})
	case e.byCommand():
	case r.Err != nil:
		s.say(event.Failed{Opening: e.described(), Close: true, Err: r.Err})
	default:
		s.say(event.Closed{Opening: e.described(), Why: e.why})
	}
}

func (s *schedule) giveUp(e *entry, r Result) {
	s.say(event.GivenUp{Opening: e.described(), Close: true, Result: event.Result(r), Command: e.Stop})
}

// alike reports whether a result reads as another one.
func (r Result) alike(other Result) bool {
	return event.Result(r).String() == event.Result(other).String()
}
