package eventlog

import "time"

// limiter counts the lines of the current second.
type limiter struct {
	rate   int
	second time.Time // when the current second began
	taken  int
	missed int // not taken since the last that was told
}

// take says whether one more line may be written now, and how many were left
// out before it and not yet told.
func (l *limiter) take(now time.Time) (ok bool, missed int) {
	if now.Sub(l.second) >= time.Second || now.Before(l.second) {
		l.second, l.taken = now, 0
		missed = l.flush()
	}
	if l.taken >= l.rate {
		l.missed++
		return false, missed
	}
	l.taken++
	return true, missed
}

// miss counts a line that was allowed and yet not written.
func (l *limiter) miss() { l.missed++ }

// flush returns how many lines were left out, and forgets them.
func (l *limiter) flush() int {
	n := l.missed
	l.missed = 0
	return n
}
