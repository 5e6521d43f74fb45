package eventlog

import (
	"time"

	"knockd/internal/event"
)

// dayBudget is how many octets of log strangers may cause at once, and once more
// in each day, at a rate of up to DefaultRate; a higher rate raises it in
// proportion. Honest knocks take some hundred octets each.
const dayBudget = 16 << 20

const day = 24 * time.Hour

// tellEvery is the pause between summaries while the budget is used up.
const tellEvery = time.Minute

// limiter bounds what strangers cause: how many events in the current second,
// and the octets of their lines in the long run.
type limiter struct {
	rate   int
	second time.Time // when the current second began
	taken  int       // in it
	missed int       // not taken since the last that was told
	spent  bool      // some of them because the budget was used up
	told   time.Time // when that was told last
	// paid is the time until which the budget is used up: each octet moves it by
	// a day's share, and it may be a day ahead.
	paid time.Time
}

// take reports whether one more event may be written now, and returns the event
// that tells of those left out before it, nil if there is nothing to tell.
func (l *limiter) take(now time.Time) (ok bool, tell event.Event) {
	if now.Sub(l.second) >= time.Second || now.Before(l.second) {
		l.second, l.taken = now, 0
		tell = l.summary(now)
	}
	if !l.affords(now) {
		l.spent = true
		l.miss()
		return false, tell
	}
	if l.taken >= l.rate {
		l.miss()
		return false, tell
	}
	l.taken++
	return true, tell
}

// miss counts an event that is not written.
func (l *limiter) miss() { l.missed++ }

// affords reports whether the budget has anything left.
func (l *limiter) affords(now time.Time) bool { return l.paid.Sub(now) < day }

// spend takes an event's line out of the budget.
func (l *limiter) spend(now time.Time, text string) {
	if l.paid.Before(now) {
		l.paid = now
	}
	budget := time.Duration(dayBudget) * time.Duration(max(l.rate, DefaultRate)) / DefaultRate
	l.paid = l.paid.Add(time.Duration(len(stamp)+len(text)+len("\n")) * (day / budget))
}

// summary returns the event that tells how many were left out, which it
// forgets, if there are any and it is time to tell.
func (l *limiter) summary(now time.Time) event.Event {
	if l.missed == 0 || l.spent && (now.Sub(l.told) < tellEvery || !l.affords(now)) {
		return nil
	}
	if l.spent {
		l.told = now
	}
	e := l.flush()
	l.spend(now, e.Text())
	return e
}

// flush is summary at the end, when no time is left to wait for.
func (l *limiter) flush() event.Event {
	if l.missed == 0 {
		return nil
	}
	e := event.LeftOut{Events: l.missed, Day: l.spent}
	l.missed, l.spent = 0, false
	return e
}
