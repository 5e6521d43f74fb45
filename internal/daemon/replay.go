package daemon

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"time"

	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/onetime"
	"knockd/internal/openings"
	"knockd/internal/replaycache"
	"knockd/internal/spa"
)

// Replay decides on the packets of a capture file as the daemon decides on
// live ones, and tells every event with the packets' time. Nothing is run,
// written or marked: commands are logged only. At the end of the file the
// clock runs on until the last expiry and the last stop command.
type Replay struct {
	Local    []netip.Addr // the addresses that count as the host's own
	OnlyIPv4 bool
	Event    func(at time.Time, e event.Event)

	decisions *decisions
	dry       *openings.Dry
	unused    map[string][]onetime.Line // of each one-time door, by its file
}

// Run decides on all packets of the source.
func (r *Replay) Run(conf *config.Config, source capture.Source) error {
	list, doubts, err := Prepare(conf)
	if err != nil {
		return err
	}
	r.start(list, conf)
	batch, err := source.Next()
	if len(batch) > 0 {
		for _, e := range doubts {
			r.Event(batch[0].Time, e)
		}
	}
	for ; err == nil; batch, err = source.Next() {
		r.batch(batch)
	}
	r.runOn()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// batch decides on packets that came together, each at its own time.
func (r *Replay) batch(batch []capture.Captured) {
	r.decisions.begin(batch)
	var at time.Time
	for i := range batch {
		at = batch[i].Time
		r.passTime(at)
		r.decisions.packet(&batch[i], at)
	}
	r.decisions.end(at)
}

func (r *Replay) start(list []*door, conf *config.Config) {
	r.dry = openings.NewDry(r.Event)
	r.unused = map[string][]onetime.Line{}
	r.decisions = newDecisions(conf, r.OnlyIPv4, r)
	r.decisions.tracker.SetLocal(r.Local)
	r.decisions.doors.set(list, r.decisions.tracker)
	r.decisions.gate = newGate(conf, list, usedInMemory{})
}

// passTime lets expiries and stop commands that are due by now happen, each
// at its own time.
func (r *Replay) passTime(now time.Time) {
	for {
		at, ok := r.next()
		if !ok || at.After(now) {
			break
		}
		r.dry.Advance(at)
		r.decisions.expire(at)
	}
	r.dry.Advance(now)
}

// runOn lets the clock run until nothing is left to happen.
func (r *Replay) runOn() {
	for {
		at, ok := r.next()
		if !ok {
			return
		}
		r.passTime(at)
	}
}

// next is when the next expiry or stop command is due.
func (r *Replay) next() (time.Time, bool) {
	a, okA := r.decisions.next()
	b, okB := r.dry.Next()
	if okA && (!okB || a.Before(b)) {
		return a, true
	}
	return b, okB
}

// allows implements outcomes.
func (r *Replay) allows() bool { return true }

// tell implements outcomes.
func (r *Replay) tell(at time.Time, e event.Event) { r.Event(at, e) }

// open implements outcomes.
func (r *Replay) open(at time.Time, o openings.Opening, announce func()) bool {
	return r.dry.Open(o, at, announce)
}

// close implements outcomes.
func (r *Replay) close(at time.Time, knocker netip.Addr, match func(*openings.Opening) bool, why string) {
	r.dry.CloseFor(knocker, match, why, at)
}

// holds implements outcomes.
func (r *Replay) holds(knocker netip.Addr) bool { return r.dry.Holds(knocker) }

// isLocal implements outcomes.
func (r *Replay) isLocal(a netip.Addr) bool { return slices.Contains(r.Local, a) }

// use implements outcomes; it marks nothing, and goes on to the next line of
// the file as it was at the first use.
func (r *Replay) use(at time.Time, d *door, then func()) {
	path := d.oneTime.file.Path
	lines, known := r.unused[path]
	if !known {
		lines, _ = d.oneTime.file.Lines()
	}
	if len(lines) > 0 {
		lines = lines[1:]
	}
	r.unused[path] = lines
	next := d.with(onetime.Line{})
	if len(lines) > 0 {
		next = d.with(lines[0])
	} else {
		defer r.Event(at, event.SequencesExhausted{Door: d.ID()})
	}
	r.decisions.doors.replace(d, next, r.decisions.tracker)
	then()
}

// admit implements outcomes.
func (r *Replay) admit(at time.Time, g *gate, request *spa.Request) {
	admitted(r, at, g, g.Admit(request, at))
}

// usedInMemory is a spa.Once that forgets all at the end of the file.
type usedInMemory map[spa.Token]bool

// Enter implements spa.Once.
func (u usedInMemory) Enter(token spa.Token, _, _ time.Time) (safe func() error, err error) {
	if u[token] {
		return nil, replaycache.ErrUsed
	}
	u[token] = true
	return func() error { return nil }, nil
}
