package openings

import (
	"fmt"
	"strconv"
	"time"
)

// The lines about openings. "running command", "command timeout" and "command
// returned non-zero status code" are knockd 0.8's, word for word.

func (s *schedule) say(text string) {
	s.actions = append(s.actions, action{do: say, text: text})
}

func (s *schedule) announceStart(e *entry) {
	switch {
	case e.survivor != 0:
		s.say(fmt.Sprintf("%s: start command of an earlier run goes on (pid %d)", e.who(), e.survivor))
	case e.Kind == "" && e.delays.first.IsZero():
		s.say(e.Door.Name + ": running command: " + e.Start)
	}
}

// announceWait says that all workers are taken that the door may have.
func (s *schedule) announceWait(e *entry) {
	p, what := &s.lane(e).starts, "start command"
	if e.Kind != "" {
		what = "opening"
	}
	s.say(fmt.Sprintf("%s: %s waits: %d of this door run, %d in all", e.who(), what, p.has(e.Door), p.taken))
}

// announceDelay says why an opening is tried again, if that is news.
func (s *schedule) announceDelay(e *entry, before tries, r Result) {
	switch {
	case !before.first.IsZero() && r.text() == before.last.text():
	case e.Kind == "":
		s.say(fmt.Sprintf("%s: start command for %s not run, tried again: %v", e.Door.Name, e.Addr, r.Err))
	default:
		s.say(fmt.Sprintf("%s: open %s for %s, tried again: %v", e.Door.Name, e.What, e.whom(), r.Err))
	}
}

// refusal says that an opening is refused, and why.
func (s *schedule) refusal(o *Opening) string {
	return fmt.Sprintf("%s: not opened: %d openings are held already, %d of this door",
		o.who(), s.places.taken, s.places.has(o.Door))
}

func (s *schedule) reportStart(e *entry, r Result) {
	late := !e.delays.first.IsZero()
	switch {
	case e.Kind == "" && late && r.neverRan():
		s.say(fmt.Sprintf("%s: start command given up for %s (%s): %s", e.Door.Name, e.Addr, r.text(), e.Start))
	case e.Kind == "" && late:
		s.say(fmt.Sprintf("%s: start command run at last for %s", e.Door.Name, e.Addr))
		s.complain(e, r)
	case e.Kind == "":
		s.complain(e, r)
	case r.Err != nil:
		s.say(fmt.Sprintf("%s: open %s for %s: %v", e.Door.Name, e.What, e.whom(), r.Err))
		if e.why == "" {
			e.why = "it did not open well" // and what is half open closes
		}
	case e.Timeout > 0:
		s.say(fmt.Sprintf("%s: opened %s for %s (%s)", e.Door.Name, e.What, e.whom(), seconds(e.Timeout)))
	default:
		s.say(fmt.Sprintf("%s: opened %s for %s", e.Door.Name, e.What, e.whom()))
	}
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}

// announceStop says why and what; not again when it is tried again.
func (s *schedule) announceStop(e *entry) {
	if e.Kind != "" || !e.tries.first.IsZero() {
		return
	}
	if e.why == "" {
		s.say(e.who() + ": command timeout")
	} else {
		s.say(e.who() + ": closed early: " + e.why)
	}
	s.say(e.Door.Name + ": running command: " + e.Stop)
}

// reportStop says how a stop command ended, if that is news.
func (s *schedule) reportStop(e *entry, r Result) {
	news := e.tries.first.IsZero() || r.text() != e.tries.last.text()
	switch {
	case !news:
	case e.Kind == "" && r.ok() && !e.tries.first.IsZero():
		s.say(fmt.Sprintf("%s: stop command succeeded for %s", e.Door.Name, e.Addr))
	case e.Kind == "":
		s.complain(e, r)
	case r.Err != nil:
		s.say(fmt.Sprintf("%s: close %s for %s: %v", e.Door.Name, e.What, e.whom(), r.Err))
	case e.why != "":
		s.say(fmt.Sprintf("%s: closed for %s: %s", e.Door.Name, e.whom(), e.why))
	default:
		s.say(fmt.Sprintf("%s: closed for %s", e.Door.Name, e.whom()))
	}
}

func (s *schedule) giveUp(e *entry, r Result) {
	if e.Kind != "" {
		s.say(fmt.Sprintf("%s: close given up for %s (%s)", e.Door.Name, e.whom(), r.text()))
		return
	}
	s.say(fmt.Sprintf("%s: stop command given up for %s (%s): %s", e.Door.Name, e.Addr, r.text(), e.Stop))
}

// complain says how a command failed.
func (s *schedule) complain(e *entry, r Result) {
	if r.Err != nil {
		s.say(e.Door.Name + ": command ended without a status: " + r.Err.Error())
	} else if r.Status != 0 {
		s.say(fmt.Sprintf("%s: command returned non-zero status code (%d)", e.Door.Name, r.Status))
	}
}

func (r Result) text() string {
	if r.Err != nil {
		return r.Err.Error()
	}
	return "status " + strconv.Itoa(r.Status)
}
