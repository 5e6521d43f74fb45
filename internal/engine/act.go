package engine

import (
	"net/netip"
	"slices"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// act carries out what the tracker decided.
func (e *Engine) act(decided []knock.Decision, at time.Time) {
	for i := range decided {
		d := &decided[i]
		e.lookUp(d)
		switch d.Kind {
		case knock.Stage:
			if e.effects.Allows() {
				e.effects.Tell(at, event.Stage{Door: d.Door.ID(), Knocker: e.knocker(d), Stage: d.Stage, Steps: len(d.Door.Sequence)})
			}
		case knock.Expired:
			if e.effects.Allows() {
				e.effects.Tell(at, event.Expired{Door: d.Door.ID(), Knocker: e.knocker(d), Stage: d.Stage})
			}
		case knock.Failed:
			switch {
			case !e.tellsFailures():
				e.effects.Show(at, e.failed(d))
			case e.effects.Allows():
				e.effects.Tell(at, e.failed(d))
			}
		case knock.Opened:
			e.opened(e.byKey[d.Door], d, at)
		case knock.Ignored:
			limit := e.conf.MaxFailures
			e.effects.Tell(at, event.Ignored{Door: d.Door.ID(), Knocker: e.knocker(d), For: limit.For, Failures: limit.Count})
		}
	}
	if len(decided) > 0 {
		e.sayTallies(at)
	}
}

func (e *Engine) failed(d *knock.Decision) event.AttemptFailed {
	failed := event.AttemptFailed{Door: d.Door.ID(), Knocker: e.knocker(d), Stage: d.Stage, Logged: e.conf.LogFailures}
	if d.Of != nil {
		failed.Of = d.Of.ID()
	} else {
		failed.Hit = knock.Step{Proto: d.Hit.Proto, Port: d.Hit.DstPort}.Ports()
	}
	return failed
}

// lookUp asks for the knocker's host name. Nobody is looked up at the first
// stage: the question would tell those who watch the name server which port comes
// first.
func (e *Engine) lookUp(d *knock.Decision) {
	if e.options.Names != nil && (d.Kind == knock.Opened || d.Stage > 1) {
		e.options.Names.Want(d.Src)
	}
}

// knocker returns who knocks as events name it: the address and the host name if
// it is known by now.
func (e *Engine) knocker(d *knock.Decision) event.Knocker {
	k := event.Knocker{Addr: d.Src}
	if e.options.Names != nil {
		k.Host = e.options.Names.Of(d.Src)
	}
	return k
}

func (e *Engine) opened(door *Door, d *knock.Decision, at time.Time) {
	admitted := event.Admitted{Door: door.ID(), Knocker: e.knocker(d)}
	e.openings = appendOpenings(e.openings[:0], door, d, admitted.Knocker.Host)
	if door.oneTime == nil {
		e.open(at, door, e.openings, admitted)
		return
	}
	list := slices.Clone(e.openings)
	e.effects.Use(at, door, func() { e.open(at, door, list, admitted) })
}

// open makes all openings of a door, after one OPEN SESAME, and ends those of the
// door that this one closes. It may be called from any goroutine if the effects
// may: by a one-time door's, once its line is marked.
func (e *Engine) open(at time.Time, door *Door, list []knock.Opening, admitted event.Admitted) {
	announce := func() { e.effects.Tell(at, admitted) }
	for _, o := range list {
		if !e.effects.Open(at, o, announce) {
			break
		}
		announce = nil
	}
	e.closeOther(at, door, admitted.Knocker.Addr)
}

// closeOther ends the knocker's openings of the door that this one closes.
func (e *Engine) closeOther(at time.Time, door *Door, knocker netip.Addr) {
	if door.Close == "" {
		return
	}
	e.effects.Close(at, knocker, func(o *knock.Opening) bool { return o.Door.Name == door.Close }, "knock at "+door.Name)
}
