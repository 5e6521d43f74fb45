package event

import "time"

// Tally is a number of things that strangers cause. They are told together, so
// that a flood makes few lines, and those of LogRate leave none of them out.
type Tally struct {
	Total    uint64 // so far
	reported uint64
	next     time.Time // when more may be told
}

// tallyPause is the least time between two lines.
const tallyPause = 10 * time.Second

// Due returns when there is more to tell, if there is.
func (t *Tally) Due() (at time.Time, ok bool) { return t.next, t.Total > t.reported }

// Take returns how many are to be told now.
func (t *Tally) Take(at time.Time) uint64 {
	if at.Before(t.next) {
		return 0
	}
	return t.Rest(at)
}

// Rest returns how many have not been told, and does not wait any longer.
func (t *Tally) Rest(at time.Time) uint64 {
	if t.Total == t.reported {
		return 0
	}
	n := t.Total - t.reported
	t.reported, t.next = t.Total, at.Add(tallyPause)
	return n
}
