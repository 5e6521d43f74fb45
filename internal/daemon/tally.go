package daemon

import (
	"fmt"
	"time"

	"knockd/internal/knock"
)

// crowded is what was said of attempts that had to make room. They are told
// together, so that a flood makes few lines.
type crowded struct {
	limit int       // MaxAttempts
	told  uint64    // how many of them
	next  time.Time // when more may be said
}

// crowdedPause is the least time between two lines.
const crowdedPause = 10 * time.Second

// more reports whether there is more to say.
func (c *crowded) more(s knock.Stats) bool { return s.Evicted > c.told }

// sayCrowded says that attempts had to make room. If something was said just
// now, it is said later.
func (d *decisions) sayCrowded(at time.Time) {
	s, c := d.tracker.Stats(), &d.crowded
	if !c.more(s) || at.Before(c.next) {
		return
	}
	d.out.sesame(at, fmt.Sprintf("MaxAttempts (%d) reached: attempts given up: %d, at last the oldest at %s",
		c.limit, s.Evicted-c.told, s.Fullest.Name))
	c.told, c.next = s.Evicted, at.Add(crowdedPause)
}
