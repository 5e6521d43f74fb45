package daemon

import (
	"context"
	"slices"
	"sync"
	"time"

	"knockd/internal/control"
	"knockd/internal/control/server"
	"knockd/internal/event"
	"knockd/internal/explain"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// Bounds of what those who ask what packets were cost the loop.
const (
	maxExplaining = 2    // who ask at a time
	maxExplained  = 1024 // packets that wait for one of them
	// Packets in a second: of one address; of all, those that say little (as first
	// hits do, of which a flood consists) and the others.
	rateOfOne    = 1000
	rateOfCommon = 100
	rateOfOthers = 400
)

// explainPause is the time between two replies.
const explainPause = 100 * time.Millisecond

// explainer tells what each packet was: the log with -D, and those who ask. It
// belongs to the loop.
type explainer struct{ *Daemon }

// Explain implements engine.Explainer.
func (d explainer) Explain(at time.Time, hit *knock.Hit, verdicts []knock.Verdict) {
	if d.Debug {
		d.Log.Event(event.Judged{Outcome: knock.Foremost(verdicts)})
	}
	for _, a := range d.asking {
		a.take(&explain.Packet{At: at, Hit: *hit, Verdicts: verdicts})
	}
}

// ExplainMessage implements engine.Explainer. With -D the log says enough.
func (d explainer) ExplainMessage(at time.Time, hit knock.Hit, verdict spa.Verdict) {
	for _, a := range d.asking {
		a.take(&explain.Packet{At: at, Hit: hit, Message: &verdict})
	}
}

// explainIf has packets explained if somebody asks, and else not.
func (d *Daemon) explainIf() {
	if d.Debug || len(d.asking) > 0 {
		d.engine.SetExplainer(explainer{d})
	} else {
		d.engine.SetExplainer(nil)
	}
}

// asking is one who asks what packets were.
type asking struct {
	which          control.Selection
	common, others pace // the loop's

	mu      sync.Mutex // over what follows
	packets []explain.Packet
	missed  int
	wake    chan struct{} // holds one token: there is something
}

// take takes a packet, or counts it. It never waits.
func (a *asking) take(p *explain.Packet) {
	if a.which.Address.IsValid() && p.Hit.Src != a.which.Address || a.which.Door != "" && !p.Concerns(a.which.Door) {
		return
	}
	paced, rate := &a.others, rateOfOthers
	switch {
	case a.which.Address.IsValid():
		rate = rateOfOne
	case p.Common():
		paced, rate = &a.common, rateOfCommon
	}
	allowed := paced.allows(p.At, rate)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !allowed || len(a.packets) >= maxExplained {
		a.missed++
	} else {
		kept := *p
		kept.Verdicts = slices.Clone(p.Verdicts)
		a.packets = append(a.packets, kept)
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// taken returns what there is, in the interface's words.
func (a *asking) taken() control.ExplainReply {
	a.mu.Lock()
	packets, missed := a.packets, a.missed
	a.packets, a.missed = nil, 0
	a.mu.Unlock()
	r := control.ExplainReply{Packets: []control.Packet{}, Missed: missed}
	for i := range packets {
		r.Packets = append(r.Packets, packets[i].Wire(nil, false))
	}
	return r
}

// explain answers Explain.
func (k *desk) explain(ctx context.Context, c *server.Call) error {
	s, err := c.Selection()
	if err == nil {
		err = k.known(ctx, s.Door)
	}
	if err != nil {
		return err
	}
	a := &asking{which: s, wake: make(chan struct{}, 1)}
	if err := k.joinAsking(ctx, a); err != nil {
		return err
	}
	// Not waited for: the loop may be ending.
	defer func() { go k.d.post(func() { k.leaveAsking(a) }) }()
	if err := c.Continue(control.ExplainReply{Packets: []control.Packet{}}); err != nil {
		return err
	}
	for {
		select {
		case <-a.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := c.Continue(a.taken()); err != nil {
			return err
		}
		select {
		case <-time.After(explainPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (k *desk) leaveAsking(a *asking) {
	k.d.asking = slices.DeleteFunc(k.d.asking, func(o *asking) bool { return o == a })
	k.d.explainIf()
	k.d.setFilter()
}

// joinAsking has one who asks told from then on, if there is a place.
func (k *desk) joinAsking(ctx context.Context, a *asking) error {
	full := false
	err := k.d.ask(ctx, func() {
		if full = len(k.d.asking) >= maxExplaining; full {
			return
		}
		k.d.asking = append(k.d.asking, a)
		k.d.explainIf()
		k.d.setFilter()
	})
	if err == nil && full {
		err = &control.TooMany{What: "calls of Explain", Limit: maxExplaining}
	}
	return err
}
