// Package offline decides on the packets of a capture file as the daemon decides
// on live ones. Nothing is run, written or marked: commands are told only.
package offline

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"time"

	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/engine"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/onetime"
	"knockd/internal/openings"
)

// Replay takes a capture file for the network. Every event is told with the
// packets' time; at the end of the file the clock runs on until the last expiry
// and the last stop command.
type Replay struct {
	Local    []netip.Addr // the addresses that count as the host's own
	OnlyIPv4 bool
	// Actions are the ways to open and close doors; none is done.
	Actions map[string]openings.Action
	Event   func(at time.Time, e event.Event)
	Idle    func() // called before it waits for packets; may be nil

	// Few leaves out events that any stranger can cause, as a log may.
	Few bool
	// Explainer is told what each packet was, and Used of each line of a one-time
	// file that is used; both may be nil.
	Explainer engine.Explainer
	Used      func(door knock.DoorID, file string, line onetime.Line)

	engine *engine.Engine
	dry    *openings.Dry
	unused map[string][]onetime.Line // of each one-time door, by its file
}

// Run decides on all packets of the source.
func (r *Replay) Run(conf *config.Config, source capture.Source) error {
	doors, doubts, err := engine.Prepare(conf)
	if err != nil {
		return err
	}
	r.dry = openings.NewDry(r.Actions, r.Event)
	r.unused = map[string][]onetime.Line{}
	r.engine = engine.New(conf, doors, newUsed(doors), engine.Options{OnlyIPv4: r.OnlyIPv4, Effects: effects{r}})
	r.engine.SetLocal(r.Local)
	r.engine.SetExplainer(r.Explainer)
	packets := readAhead(source)
	l, err := packets.next(load{}, r.idle)
	if err == nil {
		for _, e := range doubts {
			r.Event(l.packets[0].Time, e)
		}
	}
	for ; err == nil; l, err = packets.next(l.emptied(), r.idle) {
		begin := 0
		for _, end := range l.ends {
			r.batch(l.packets[begin:end])
			begin = end
		}
	}
	r.runOn()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (r *Replay) idle() {
	if r.Idle != nil {
		r.Idle()
	}
}

// batch decides on packets that came together, each at its own time.
func (r *Replay) batch(batch []capture.Captured) {
	messages := 0
	for i := range batch {
		if r.engine.MayHoldMessage(&batch[i].Hit, batch[i].Payload) {
			messages++
		}
	}
	r.engine.Begin(messages, len(batch) >= capture.MaxBatch)
	var at time.Time
	for i := range batch {
		at = batch[i].Time
		r.passTime(at)
		r.engine.Packet(&batch[i].Hit, batch[i].Payload, at)
	}
	r.engine.End(at)
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
		r.engine.Expire(at)
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

// next returns when the next expiry or stop command is due.
func (r *Replay) next() (time.Time, bool) {
	a, okA := r.engine.Next()
	b, okB := r.dry.Next()
	if okA && (!okB || a.Before(b)) {
		return a, true
	}
	return b, okB
}

// effects is what decisions lead to: engine.Effects.
type effects struct{ *Replay }

func (r effects) Allows() bool { return !r.Few }

func (r effects) Tell(at time.Time, e event.Event) { r.Event(at, e) }

func (effects) Show(time.Time, event.Event) {}

func (r effects) Open(at time.Time, o knock.Opening, announce func()) bool {
	return r.dry.Open(o, at, announce)
}

func (r effects) Close(at time.Time, knocker netip.Addr, match func(*knock.Opening) bool, why string) {
	r.dry.CloseFor(knocker, match, why, at)
}

func (r effects) Holds(knocker netip.Addr) bool { return r.dry.Holds(knocker) }

func (r effects) IsLocal(a netip.Addr) bool { return slices.Contains(r.Local, a) }

// Use marks nothing, and goes on to the next line of the file as it was at the
// first use.
func (r effects) Use(at time.Time, d *engine.Door, then func()) {
	file, line := d.OneTime()
	if r.Used != nil {
		r.Used(d.ID(), file.Path, line)
	}
	lines, known := r.unused[file.Path]
	if !known {
		lines, _ = file.Lines()
	}
	if len(lines) > 0 {
		lines = lines[1:]
	}
	r.unused[file.Path] = lines
	next := onetime.Line{}
	if len(lines) > 0 {
		next = lines[0]
	} else {
		defer r.Event(at, event.SequencesExhausted{Door: d.ID()})
	}
	r.engine.Replace(d, d.With(next))
	then()
}

func (r effects) Admit(_ time.Time, a *engine.Admission) {
	a.Await()
	r.engine.Admitted(a)
}
