package daemon

import (
	"time"

	"knockd/internal/event"
)

// tally is a number of things that strangers cause. They are told together, so
// that a flood makes few lines, and those of LogRate leave none of them out.
type tally struct {
	total uint64
	told  uint64
	next  time.Time // when more may be told
}

// tallyPause is the least time between two lines.
const tallyPause = 10 * time.Second

// due is when there is more to tell.
func (t *tally) due() (at time.Time, ok bool) { return t.next, t.total > t.told }

// take returns how many may be told now.
func (t *tally) take(at time.Time) uint64 {
	if at.Before(t.next) || t.total == t.told {
		return 0
	}
	n := t.total - t.told
	t.told, t.next = t.total, at.Add(tallyPause)
	return n
}

// sayTallies says what is due: that attempts had to make room, and that no key
// was tried on packets.
func (d *decisions) sayTallies(at time.Time) {
	s := d.tracker.Stats()
	d.crowded.total = s.Evicted
	if n := d.crowded.take(at); n > 0 {
		d.out.tell(at, event.Evicted{Limit: d.maxAttempts, Attempts: n, Door: s.Fullest.ID()})
	}
	if n := d.untried.take(at); n > 0 {
		d.out.tell(at, event.MessagesDropped{Messages: n})
	}
}
