package daemon

import (
	"context"
	"errors"
	"time"

	"knockd/internal/control"
	"knockd/internal/control/server"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nft"
)

// tryOut answers Trial.
func (k *desk) tryOut(ctx context.Context, c *server.Call) error {
	var a control.TrialArgs
	if err := c.Args(map[string]any{"seconds": &a.Seconds}); err != nil {
		return err
	}
	if a.Seconds != nil {
		if time.Duration(*a.Seconds) < control.LeastTrial {
			return server.Invalid("seconds")
		}
		if err := k.begin(ctx, time.Duration(*a.Seconds)); err != nil {
			return err
		}
	}
	var r control.TrialReply
	if err := k.d.ask(ctx, func() { r.Trial = k.d.shownTrial() }); err != nil {
		return err
	}
	return c.Reply(r)
}

// begin begins a trial, and returns when it goes on.
func (k *desk) begin(ctx context.Context, length time.Duration) error {
	outcome := make(chan reloadOutcome, 1)
	var refused error
	err := k.d.ask(ctx, func() {
		if refused = k.d.try(length); refused == nil {
			k.d.reloadFor(outcome)
		}
	})
	if err != nil {
		return err
	}
	if runs := (*runningError)(nil); errors.As(refused, &runs) {
		return &control.TrialRuns{Left: control.Seconds(runs.left)}
	}
	if refused != nil {
		return &control.Failed{Reason: refused.Error()}
	}
	select {
	case o := <-outcome:
		k.forget()
		if o.err != nil {
			return refusal(o.err)
		}
		return nil
	case <-k.d.ended:
		return &control.Ending{}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shownTrial is what is on trial, nil if nothing is. It is for the loop.
func (d *Daemon) shownTrial() *control.OnTrial {
	s := d.trial.state
	if s == nil {
		return nil
	}
	t := &control.OnTrial{
		Config: d.ConfigFile, Begun: control.Seconds(s.Begin), Returns: s.Returns(),
		Ports: names(d.portsOnTrial()), Open: []string{}, Rescue: []string{},
	}
	for _, p := range d.conf.Rescue {
		t.Rescue = append(t.Rescue, p.String())
	}
	if d.trial.running() {
		t.Left = control.Seconds(s.Left())
	} else {
		t.Open = names(d.notGuarded())
	}
	return t
}

// notGuarded are the ports that the guard leaves open.
func (d *Daemon) notGuarded() []knock.PortRange {
	fw := d.Firewall.Load()
	if fw == nil {
		return nil
	}
	_, open := fw.Guarded()
	return open
}

func names(ports []knock.PortRange) []string {
	all := []string{}
	for _, p := range ports {
		all = append(all, p.String())
	}
	return all
}

// confirm answers Confirm.
func (k *desk) confirm(ctx context.Context, c *server.Call) error {
	if err := c.Args(nil); err != nil {
		return err
	}
	done := make(chan error, 1)
	var open []knock.PortRange
	if err := k.d.ask(ctx, func() { open = k.d.notGuarded(); k.d.confirm(func(err error) { done <- err }) }); err != nil {
		return err
	}
	select {
	case err := <-done:
		switch {
		case errors.Is(err, nft.ErrNoTrial), errors.Is(err, nft.ErrTrialOver):
			return &control.NoTrial{Over: errors.Is(err, nft.ErrTrialOver), Open: names(open)}
		case err != nil:
			k.d.Log.Event(event.TrialFailed{Err: err})
			return &control.Failed{Reason: "not confirmed, the trial runs on: " + err.Error()}
		}
	case <-k.d.ended:
		return &control.Ending{}
	case <-ctx.Done():
		return ctx.Err()
	}
	r := control.ConfirmReply{Closed: []string{}}
	if fw := k.d.Firewall.Load(); fw != nil {
		closed, _ := fw.Guarded()
		r.Closed = names(closed)
	}
	return c.Reply(r)
}
