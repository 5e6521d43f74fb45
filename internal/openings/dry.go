package openings

import (
	"math"
	"net/netip"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// Dry takes openings as a Manager does and runs nothing: it says which
// commands would run and when. Time is passed in and must not go back; a
// command takes none.
type Dry struct {
	s   *schedule
	log func(now time.Time, e event.Event)
}

// NewDry returns a Dry of these actions, none of which it calls to open or close,
// that writes its events, in time order, to log.
func NewDry(actions map[string]Action, log func(now time.Time, e event.Event)) *Dry {
	return &Dry{s: newSchedule(actions, math.MaxInt, MaxWaiting), log: log} // commands take no time: no worker is waited for
}

// Open is Manager.Open. Call Advance first.
func (d *Dry) Open(o knock.Opening, now time.Time, announce func()) bool {
	if d.s.full(&o) {
		d.log(now, d.s.refusal(&o, 0))
		return false
	}
	if announce != nil {
		announce()
	}
	d.s.open(o)
	d.perform(now)
	return true
}

// CloseFor is Manager.CloseFor. Call Advance first.
func (d *Dry) CloseFor(a netip.Addr, match func(*knock.Opening) bool, why string, now time.Time) int {
	n := d.s.closeFor(a, match, why)
	d.perform(now)
	return n
}

// Holds is Manager.Holds.
func (d *Dry) Holds(knocker netip.Addr) bool { return d.s.byAddr[knocker] > 0 }

// Next returns the time of the next stop command; false if none will run.
func (d *Dry) Next() (time.Time, bool) { return d.s.next() }

// Advance lets the clock run on to now: each door whose time is over closes, at
// its own time.
func (d *Dry) Advance(now time.Time) {
	for {
		next, ok := d.s.next()
		if !ok || next.After(now) {
			return
		}
		d.s.tick(next)
		d.perform(next)
	}
}

func (d *Dry) perform(now time.Time) {
	for tasks := d.s.take(); len(tasks) > 0; tasks = d.s.take() {
		for _, t := range tasks {
			switch t.do {
			case say:
				d.log(now, t.event)
			case start:
				d.s.started(t.entry, Result{}, now)
			case stop:
				d.s.stopped(t.entry, Result{}, now)
			}
		}
	}
}
