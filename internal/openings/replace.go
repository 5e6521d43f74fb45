package openings

import "knockd/internal/knock"

// Of most actions one opening for a knocker replaces the one before: its time
// begins anew. But a knock does not cut short what was opened by hand.

// identity is what makes two openings the same.
type identity struct {
	door   knock.DoorID
	holder string // who it is open for
	action string
	args   knock.Arguments
}

func identityOf(o *knock.Opening) identity {
	return identity{o.Door, o.For(), o.Action, o.Args}
}

// replace makes e the opening of its identity: the one before it ends without
// being closed. While something is done to that one e waits; if that one waits
// itself, it does as well as e, and is returned in its place.
func (s *schedule) replace(e *entry) *entry {
	old := s.latest[identityOf(&e.Opening)]
	if old != nil && old.state == queued {
		if e.UID != nil {
			old.UID, old.Timeout = e.UID, max(old.Timeout, e.Timeout)
		}
		s.forget(e)
		return old
	}
	s.latest[identityOf(&e.Opening)] = e
	switch {
	case old == nil:
		s.queue(e)
	case old.state == starting, old.state == stopping:
		old.after = e
	default:
		s.leave(old)
		if e.until = old.until; old.UID != nil && e.UID == nil && old.state == open {
			e.until = old.due
		}
		s.handOver(old, e)
	}
	return e
}

// mayBeOpen reports whether the kernel may hold an opening that did not open
// well.
func (e *entry) mayBeOpen() bool { return !e.traits.Runs && !e.delays.first.IsZero() }

// handOver ends an opening without closing it: e goes on with it.
func (s *schedule) handOver(old, e *entry) {
	e.before = old
	s.forget(old)
	s.queue(e)
}

// forget ends an opening without a word to the journal.
func (s *schedule) forget(e *entry) {
	e.state = ended
	s.release(e)
}
