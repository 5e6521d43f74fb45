package daemon

import (
	"fmt"
	"slices"
	"time"

	"knockd/internal/event"
	"knockd/internal/replaycache"
	"knockd/internal/spa"
)

// openOnce opens the store of used messages if a door has keys, or tells it
// how old messages may be now.
func (d *Daemon) openOnce(list []*door) error {
	var keyed []*spa.Door
	for _, door := range list {
		if door.keys != nil {
			keyed = append(keyed, door.keys)
		}
	}
	switch age := spa.LargestAge(keyed); {
	case len(keyed) == 0:
		return nil
	case d.used != nil:
		d.used.SetAge(age)
		return nil
	case d.OnceFile == "":
		return errNoStore
	default:
		store, err := replaycache.Open(d.OnceFile, age, d.Now())
		if err != nil {
			return fmt.Errorf("open the store of used messages: %w", err)
		}
		d.used = store
	}
	if d.used.Origin() == replaycache.Remade {
		d.Log.Event(event.StoreRemade{File: d.OnceFile, Floor: d.used.Floor()})
	}
	return nil
}

// waitForOnce waits for the end of the second in which the first store was
// made, so that a daemon that says it listens takes the messages of its own
// clock: they have whole seconds.
func (d *Daemon) waitForOnce() {
	if d.used != nil && d.used.Origin() == replaycache.New {
		time.Sleep(min(d.used.Floor().Add(time.Second).Sub(d.Now()), time.Second))
	}
}

// gateOf returns the gate of the doors with keys, nil without any.
func (d *Daemon) gateOf(list []*door) *gate {
	if d.used == nil {
		return nil
	}
	return newGate(d.conf, list, d.used)
}

// maxAdmitting bounds the requests that wait for the disk at once. Each is new
// and has passed the HMAC, so only holders of keys can get here.
const maxAdmitting = 256

// admit implements outcomes. The disk is waited for outside of the loop; the
// loop opens, so that no reload comes between. A request that cannot wait is
// used up all the same, else whoever has heard it could send it again.
func (d *Daemon) admit(at time.Time, g *gate, r *spa.Request) {
	select {
	case d.admitting <- struct{}{}:
	default:
		if d.allows() {
			d.tell(at, r.Refuse("too many wait for the disk; this one is used up, send another").Event())
		}
		return
	}
	d.marking.Go(func() {
		defer func() { <-d.admitting }()
		decision := g.Admit(r, at)
		d.post(func() { d.decided(at, g, decision) })
	})
}

// decided carries out what the gate has decided, unless a reload has taken or
// changed the door since.
func (d *Daemon) decided(at time.Time, g *gate, decision spa.Verdict) {
	if decision.Outcome == spa.Opened && !slices.Contains(d.decisions.doors.list, g.doors[decision.By]) {
		decision.Outcome, decision.Reason = spa.Denied, "the door was changed meanwhile"
	}
	admitted(d, at, g, decision)
}
