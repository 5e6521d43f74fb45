package daemon

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/netstate"
	"knockd/internal/onetime"
	"knockd/internal/openings"
	"knockd/internal/statefile"
)

// allows implements outcomes.
func (d *Daemon) allows() bool { return d.Log.Allows() }

// tell implements outcomes.
func (d *Daemon) tell(_ time.Time, e event.Event) { d.Log.Event(e) }

// open implements outcomes.
func (d *Daemon) open(_ time.Time, o openings.Opening, announce func()) bool {
	return d.manager.Open(o, announce)
}

// close implements outcomes.
func (d *Daemon) close(_ time.Time, knocker netip.Addr, match func(*openings.Opening) bool, why string) {
	d.manager.CloseFor(knocker, match, why)
}

// holds implements outcomes.
func (d *Daemon) holds(knocker netip.Addr) bool { return d.manager.Holds(knocker) }

// isLocal implements outcomes.
func (d *Daemon) isLocal(a netip.Addr) bool { return slices.Contains(netstate.OwnAddrs(), a) }

// use implements outcomes. The disk is waited for outside of the loop; until
// the line is marked the door has no sequence, so that nobody uses it twice.
func (d *Daemon) use(_ time.Time, old *door, then func()) {
	waiting := old.with(onetime.Line{})
	d.changeDoor(old, waiting)
	d.marks.begun++
	d.marks.running++
	d.marking.Go(func() {
		err := old.oneTime.file.Use(old.oneTime.line)
		next, nextErr := old.oneTime.file.Next()
		if err != nil {
			d.Log.Event(event.SequenceNotMarked{Door: old.ID(), Err: err})
		} else {
			then()
		}
		d.sayNext(old.ID(), nextErr)
		d.post(func() {
			switch {
			case nextErr == nil:
				d.changeDoor(waiting, old.with(next))
			case errors.Is(nextErr, statefile.ErrNoAnswer):
				// The next knock asks again. A line that is marked by now opens nothing.
				d.changeDoor(waiting, old)
			}
			if d.marks.running--; d.marks.running == 0 && d.marks.awaited {
				d.marks.awaited = false
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
func (d *Daemon) changeDoor(old, now *door) {
	d.decisions.doors.replace(old, now, d.decisions.tracker)
	d.setFilter()
}
