package daemon

import (
	"fmt"
	"time"

	"knockd/internal/check"
	"knockd/internal/engine"
	"knockd/internal/event"
	"knockd/internal/replaycache"
	"knockd/internal/spa"
)

// openOnce opens the store of used messages if a door has keys, or tells it
// how old messages may be now.
func (d *Daemon) openOnce(doors []*engine.Door) error {
	keyed := engine.SPADoors(doors)
	switch age := spa.LargestAge(keyed); {
	case len(keyed) == 0:
		return nil
	case d.used != nil:
		d.used.SetAge(age)
		return nil
	case d.OnceFile == "":
		return check.ErrNoStore
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

// once returns the store as the engine knows it, nil if there is none.
func (d *Daemon) once() spa.Once {
	if d.used == nil {
		return nil
	}
	return d.used
}

// maxAdmitting bounds the requests that wait for the disk at once. Each is new
// and has passed the HMAC, so only holders of keys can get here.
const maxAdmitting = 256

// Admit implements engine.Effects. The disk is waited for outside of the loop;
// the loop opens, so that no reload comes between.
func (d effects) Admit(at time.Time, a *engine.Admission) {
	select {
	case d.admitting <- struct{}{}:
	default:
		d.engine.Refused(a, "too many wait for the disk; this one is used up, send another")
		return
	}
	d.background.Go(func() {
		defer func() { <-d.admitting }()
		a.Await()
		d.post(func() { d.engine.Admitted(a) })
	})
}
