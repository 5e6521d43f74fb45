package openings

import (
	"net/netip"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// closeEarly closes the openings that match at once, whatever their time, and
// returns how many. Those whose start command still waits are dropped; those
// whose start command runs are closed when it has ended.
func (s *schedule) closeEarly(match func(*knock.Opening) bool, why string) (n int) {
	return s.closeThese(s.those(func(e *entry) bool { return e.closable() && match(&e.Opening) }), why)
}

// closeFor is closeEarly for those openings that are for an address.
func (s *schedule) closeFor(a netip.Addr, match func(*knock.Opening) bool, why string) (n int) {
	return s.closeThese(s.closableFor(a, match), why)
}

func (s *schedule) closableFor(a netip.Addr, match func(*knock.Opening) bool) (some []*entry) {
	s.knockers.each(a, func(e *entry) {
		if e.closable() && match(&e.Opening) {
			some = append(some, e)
		}
	})
	return some
}

// closable reports whether an opening can be told to close.
func (e *entry) closable() bool {
	return e.state == queued || e.state == delayed || e.state == starting || e.state == open
}

func (s *schedule) closeThese(some []*entry, why string) int {
	for _, e := range inOrder(some) {
		switch e.state {
		case queued, delayed:
			if s.drop(e, why) {
				s.say(event.Dropped{Opening: e.described(), Why: why})
			}
		case starting:
			e.why = why
		case open:
			e.why = why
			s.timers.remove(e)
			s.close(e)
		}
	}
	s.work()
	return len(some)
}

// drain begins the shutdown: starts that still wait are dropped and, unless
// openings are kept for the next daemon, everything else closes. It returns
// how many were dropped.
func (s *schedule) drain(keep bool, why string) (dropped int) {
	s.draining = true
	for _, e := range s.those(func(e *entry) bool { return e.state == queued || e.state == delayed }) {
		if keep {
			s.leave(e)
			s.forget(e) // what has begun of it is in the journal
		} else {
			s.drop(e, why)
		}
		dropped++
	}
	if keep {
		return dropped
	}
	for _, e := range s.those(func(e *entry) bool { return e.state == pausing }) {
		s.timers.remove(e)
		s.close(e)
	}
	s.closeEarly(func(*knock.Opening) bool { return true }, why)
	return dropped
}
