package openings

import (
	"errors"
	"syscall"
	"time"
)

// Result is how a command ended.
type Result struct {
	Status int   // as a shell counts it: 128+n where signal n ended it
	Err    error // it could not be run, or was ended at a limit
}

func (r Result) ok() bool { return r.Err == nil && r.Status == 0 }

// notRun reports whether a stop command has probably not done its work for a
// reason that passes: it could not be run or not to its end (126 and 127 of
// /bin/sh, signals), or iptables ran out of a resource or did not get its lock
// (4, man iptables).
func (r Result) notRun() bool {
	switch {
	case r.Err != nil, r.Status == 4, r.Status == 126, r.Status == 127:
		return true
	}
	return r.Status > 128 && r.Status <= 128+64
}

// neverRan reports whether nothing of a command has run.
func (r Result) neverRan() bool { return r.Err != nil && r.Status == -1 }

// lacked reports whether the system lacked something, as it may not soon.
func (r Result) lacked() bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN, syscall.ENOBUFS, syscall.EINTR,
	} {
		if errors.Is(r.Err, e) {
			return true
		}
	}
	return false
}

// How often a failing command is tried again.
const (
	delayedFor     = 10 * time.Minute // a start command, with growing pauses, and then once more
	notRunFor      = time.Hour        // a stop command, likewise
	notRunPauseMax = 5 * time.Minute  // the longest of them
	failedTries    = 3                // of one that ran and said no
)

// failedPauses are the pauses after its first and second try: three tries in
// a minute.
var failedPauses = [failedTries - 1]time.Duration{5 * time.Second, 20 * time.Second}

// tries is what happened to a command of an opening so far.
type tries struct {
	first  time.Time     // the end of the first failed try
	pause  time.Duration // the last pause after a try that did not run
	failed int           // tries that ran and said no
	last   Result        // of the last try
}

// again reports whether and when a stop command is tried again after r. While
// the daemon shuts down there is less time to wait.
func (t *tries) again(r Result, now time.Time, hurry bool) (pause time.Duration, ok bool) {
	if r.notRun() {
		pause, ok = t.later(r, now, notRunFor)
	} else {
		t.note(r, now)
		if t.failed++; t.failed < failedTries {
			pause, ok = failedPauses[t.failed-1], true
		}
	}
	if hurry {
		pause = min(pause, 2*time.Second)
	}
	return pause, ok
}

// later reports whether and when a command that could not be run is tried
// again, for so long.
func (t *tries) later(r Result, now time.Time, within time.Duration) (pause time.Duration, ok bool) {
	t.note(r, now)
	left := t.first.Add(within).Sub(now)
	if left <= 0 {
		return 0, false
	}
	t.pause = min(max(2*t.pause, time.Second), notRunPauseMax)
	return min(t.pause, left), true
}

// note takes how a try ended.
func (t *tries) note(r Result, now time.Time) {
	if t.first.IsZero() {
		t.first = now
	}
	t.last = r
}

// delay reports whether and when a start command is tried again: if the system
// could not run it. What runs no program can be begun twice, so it is tried
// again wherever the system lacked something.
func (s *schedule) delay(e *entry, r Result, now time.Time) (pause time.Duration, ok bool) {
	replaced := e.after != nil && e.after.state == queued
	if s.draining || replaced || e.why != "" || !(r.neverRan() || !e.traits.Runs && r.lacked()) {
		return 0, false
	}
	before := e.delays
	if pause, ok = e.delays.later(r, now, delayedFor); ok {
		s.announceDelay(e, before, r)
	}
	return pause, ok
}
