package daemon

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"knockd/internal/engine"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/netstate"
	"knockd/internal/onetime"
	"knockd/internal/statefile"
)

// effects is what decisions lead to: engine.Effects.
type effects struct{ *Daemon }

// Allows implements engine.Effects.
func (d effects) Allows() bool { return d.Log.Allows() }

// Tell implements engine.Effects.
func (d effects) Tell(_ time.Time, e event.Event) { d.Log.Event(e) }

// Show implements engine.Effects.
func (d effects) Show(at time.Time, e event.Event) { d.desk.show(at, e) }

// Open implements engine.Effects.
func (d effects) Open(_ time.Time, o knock.Opening, announce func()) bool {
	return d.manager.Open(o, announce)
}

// Close implements engine.Effects.
func (d effects) Close(_ time.Time, knocker netip.Addr, match func(*knock.Opening) bool, why string) {
	d.manager.CloseFor(knocker, match, why)
}

// Holds implements engine.Effects.
func (d effects) Holds(knocker netip.Addr) bool { return d.manager.Holds(knocker) }

// IsLocal implements engine.Effects.
func (d effects) IsLocal(a netip.Addr) bool { return slices.Contains(netstate.OwnAddrs(), a) }

// Use implements engine.Effects. The disk is waited for outside of the loop; until
// the line is marked the door has no sequence, so that nobody uses it twice.
func (d effects) Use(_ time.Time, old *engine.Door, then func()) {
	file, line := old.OneTime()
	waiting := old.With(onetime.Line{})
	d.changeDoor(old, waiting)
	d.oneTime.begun++
	d.oneTime.running++
	d.background.Go(func() {
		err := file.Use(line)
		next, nextErr := file.Next()
		if err != nil {
			d.Log.Event(event.SequenceNotMarked{Door: old.ID(), Err: err})
		} else {
			then()
		}
		d.sayNext(old.ID(), nextErr)
		d.post(func() {
			switch {
			case nextErr == nil:
				d.changeDoor(waiting, old.With(next))
			case errors.Is(nextErr, statefile.ErrNoAnswer):
				// The next knock asks again. A line that is marked by now opens nothing.
				d.changeDoor(waiting, old)
			}
			if d.oneTime.running--; d.oneTime.running == 0 && d.oneTime.awaited {
				d.oneTime.awaited = false
				d.read()
			}
		})
	})
}

// sayNext says why a door has no next sequence.
func (d *Daemon) sayNext(door knock.DoorID, err error) {
	switch {
	case errors.Is(err, onetime.ErrExhausted):
		d.Log.Event(event.SequencesExhausted{Door: door})
	case err != nil:
		d.Log.Event(event.SequenceNotRead{Door: door, Err: err, Again: errors.Is(err, statefile.ErrNoAnswer)})
	}
}

// changeDoor puts another state of a door in its place, for the tracker and
// for the kernel's filter.
func (d *Daemon) changeDoor(old, now *engine.Door) {
	d.engine.Replace(old, now)
	d.setFilter()
}
