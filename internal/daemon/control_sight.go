package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/control"
	"knockd/internal/engine"
	"knockd/internal/event"
	"knockd/internal/knock"
)

// sightPause is the least time between two looks at what the loop has: whoever
// asks meanwhile sees what was seen last.
const sightPause = 50 * time.Millisecond

// patience is how long the loop may take to show what it has.
const patience = 10 * time.Second

// seen is what the loop had at a time. Nobody changes it.
type seen struct {
	at        time.Time
	conf      *config.Config
	doors     []*engine.Door
	listening capture.Listening
	since     map[string]time.Time // of what is listened on
	stats     engine.Stats
	dropped   uint64 // packets, by the kernel
	reload    *control.LastReload
}

// sight is what was seen last.
type sight struct {
	mu   sync.Mutex
	last *seen
	when time.Time
}

// see returns what the loop has, or had a moment ago.
func (k *desk) see(ctx context.Context) (*seen, error) {
	s := &k.sight
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil && time.Since(s.when) < sightPause {
		return s.last, nil
	}
	now := &seen{}
	if err := k.d.ask(ctx, func() { k.d.show(now) }); err != nil {
		return nil, err
	}
	s.last, s.when = now, time.Now()
	return now, nil
}

// forget has the next one who asks see what is there then.
func (k *desk) forget() {
	k.sight.mu.Lock()
	k.sight.last = nil
	k.sight.mu.Unlock()
}

// ask has the loop run a function, which must be quick, and waits for that.
func (d *Daemon) ask(ctx context.Context, f func()) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	done := make(chan struct{})
	select {
	case d.calls <- func() { f(); close(done) }:
		<-done
		return nil
	case <-d.ended:
		return &control.Ending{}
	case <-ctx.Done():
		return &control.Failed{Reason: "knockd is busy"}
	}
}

// show copies what the loop has.
func (d *Daemon) show(s *seen) {
	*s = seen{
		at: d.Now(), conf: d.conf, doors: slices.Clone(d.engine.Doors()), listening: d.listening, since: d.since,
		stats: d.engine.Stats(), dropped: d.drops.Total, reload: d.lastReload,
	}
}

// listensSince returns when each of those that are listened on began to be.
func listensSince(before map[string]time.Time, on []string, now time.Time) map[string]time.Time {
	since := map[string]time.Time{}
	for _, name := range on {
		if at, ok := before[name]; ok {
			since[name] = at
		} else {
			since[name] = now
		}
	}
	return since
}

// known returns an error if no door bears a name; "" stands for all.
func (k *desk) known(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	_, err := k.door(ctx, name)
	return err
}

// door returns the door that is named.
func (k *desk) door(ctx context.Context, name string) (*engine.Door, error) {
	s, err := k.see(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range s.doors {
		if d.ID().String() == name {
			return d, nil
		}
	}
	return nil, &control.NoSuchDoor{Door: name}
}

// counters count events.
type counters struct {
	mu       sync.Mutex // over what follows
	doors    map[string]*doorCount
	opened   uint64
	refused  uint64
	failed   uint64
	limits   map[string]*limitCount
	firewall string // what is wrong with it
}

type doorCount struct {
	opened uint64
	last   time.Time
}

type limitCount struct {
	reached uint64
	last    time.Time
}

// event counts an event.
func (c *counters) event(at time.Time, e event.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := e.(type) {
	case event.Admitted:
		c.open(at, e.Door)
	case event.OpenedByHand:
		c.open(at, e.Door)
	case event.Refused:
		c.refused += uint64(1 + e.LeftOut)
		c.reach(control.LimitOpenings, uint64(1+e.LeftOut), at)
	case event.Evicted:
		c.reach(control.LimitAttempts, e.Attempts, at)
	case event.LeftOut:
		c.reach(control.LimitLogLines, uint64(e.Events), at)
	case event.MessagesDropped:
		c.reach(control.LimitMessages, e.Messages, at)
	case event.Failed:
		c.failed++
	case event.CommandEnded:
		if !e.Result.OK() {
			c.failed++
		}
	case event.RestoreFailed:
		c.firewall = e.Text()
	case event.GuardFailed:
		c.firewall = e.Text()
	case event.Restored, event.GuardClosed:
		c.firewall = ""
	}
}

func (c *counters) open(at time.Time, door knock.DoorID) {
	if c.doors == nil {
		c.doors = map[string]*doorCount{}
	}
	d := c.doors[door.String()]
	if d == nil {
		d = &doorCount{}
		c.doors[door.String()] = d
	}
	d.opened, d.last = d.opened+1, at
	c.opened++
}

func (c *counters) reach(limit string, n uint64, at time.Time) {
	if c.limits == nil {
		c.limits = map[string]*limitCount{}
	}
	l := c.limits[limit]
	if l == nil {
		l = &limitCount{}
		c.limits[limit] = l
	}
	l.reached, l.last = l.reached+n, at
}
