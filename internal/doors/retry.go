package doors

import "time"

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

// How often a failing stop command is tried again.
const (
	notRunFor      = time.Hour       // with growing pauses, and then once more
	notRunPauseMax = 5 * time.Minute // the longest of them
	failedTries    = 3               // of one that ran and said no
)

// failedPauses are the pauses after its first and second try: three tries in
// a minute.
var failedPauses = [failedTries - 1]time.Duration{5 * time.Second, 20 * time.Second}

// tries is what happened to an opening's stop command so far.
type tries struct {
	first  time.Time     // the end of the first failed try
	pause  time.Duration // the last pause after a try that did not run
	failed int           // tries that ran and said no
	last   Result        // of the last try
}

// again says whether and when a stop command is tried again after r. While the
// daemon shuts down there is less time to wait.
func (t *tries) again(r Result, now time.Time, hurry bool) (pause time.Duration, ok bool) {
	if t.first.IsZero() {
		t.first = now
	}
	t.last = r
	if !r.notRun() {
		t.failed++
		if t.failed >= failedTries {
			return 0, false
		}
		pause = failedPauses[t.failed-1]
	} else {
		left := t.first.Add(notRunFor).Sub(now)
		if left <= 0 {
			return 0, false
		}
		t.pause = min(max(2*t.pause, time.Second), notRunPauseMax)
		pause = min(t.pause, left)
	}
	if hurry {
		pause = min(pause, 2*time.Second)
	}
	return pause, true
}
