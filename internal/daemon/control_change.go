package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"knockd/internal/config"
	"knockd/internal/control"
	"knockd/internal/control/server"
	"knockd/internal/engine"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/openings"
)

// handLimit is how long somebody waits for a door that is opened or closed by
// hand.
const handLimit = openings.StopLimit + 5*time.Second

// leastByHand is how long a door is open at least that is opened by hand.
const leastByHand = time.Second

// open answers Open.
func (k *desk) open(ctx context.Context, c *server.Call) error {
	a, h, err := openArgs(c)
	if err != nil {
		return err
	}
	door, err := k.door(ctx, a.Door)
	if err != nil {
		return err
	}
	list, err := door.ByHand(h)
	switch {
	case errors.Is(err, engine.ErrForce):
		return &control.NotForced{Reason: a.Door + ": " + err.Error()}
	case err != nil:
		return &control.CannotOpen{Door: a.Door, Reason: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, handLimit)
	defer cancel()
	opened := event.OpenedByHand{UID: c.Peer.UID, Door: door.ID(), Addr: list[0].Addr, For: list[0].For(), Timeout: list[0].Timeout, Forced: a.Force}
	held := k.d.manager.OpenByHand(ctx, list, func() { k.d.Log.Event(opened) })
	if len(held) < len(list) {
		return &control.CannotOpen{Door: a.Door, Reason: k.whyNot()}
	}
	if door.Close != "" {
		k.d.manager.CloseFor(opened.Addr, func(o *knock.Opening) bool { return o.Door.Name == door.Close }, "opened "+door.Name)
	}
	r := control.OpenReply{Openings: []control.Opening{}}
	for i := range held {
		r.Openings = append(r.Openings, k.shown(&held[i]))
	}
	return c.Reply(r)
}

// whyNot says why the manager refuses openings.
func (k *desk) whyNot() string {
	select {
	case <-k.d.ended:
		return "knockd ends"
	default:
		return "too many openings are held"
	}
}

// openArgs reads the parameters of Open.
func openArgs(c *server.Call) (a control.OpenArgs, h engine.ByHand, err error) {
	err = c.Args(map[string]any{"door": &a.Door, "address": &a.Address, "ports": &a.Ports, "seconds": &a.Seconds, "force": &a.Force})
	if err != nil {
		return a, h, err
	}
	h = engine.ByHand{UID: c.Peer.UID, Force: a.Force}
	var ok bool
	switch h.For, ok = prefix(a.Address); {
	case a.Door == "":
		return a, h, server.Invalid("door")
	case !ok:
		return a, h, server.Invalid("address")
	case a.Seconds != nil && time.Duration(*a.Seconds) < leastByHand:
		return a, h, server.Invalid("seconds")
	case a.Seconds != nil:
		h.Timeout = time.Duration(*a.Seconds)
	}
	for _, text := range a.Ports {
		p, err := knock.ParsePortRange(text)
		if err != nil {
			return a, h, server.Invalid("ports")
		}
		h.Ports = append(h.Ports, p)
	}
	return a, h, nil
}

// prefix reads an address or a network.
func prefix(text string) (p netip.Prefix, ok bool) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		a = a.Unmap()
		if err != nil || a.Zone() != "" || a.IsUnspecified() {
			return p, false
		}
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p, err == nil && p == p.Masked() && p.Bits() > 0 && !p.Addr().Is4In6()
}

// close answers Close.
func (k *desk) close(ctx context.Context, c *server.Call) error {
	var a control.CloseArgs
	err := c.Args(map[string]any{"door": &a.Door, "all": &a.All, "address": &a.Address})
	switch {
	case err != nil:
		return err
	case a.All == (a.Door != ""): // one or the other
		return server.Invalid("door")
	case a.Address.IsValid():
		a.Address = a.Address.Unmap().WithZone("")
	}
	closed := event.ClosedByHand{UID: c.Peer.UID, Addr: a.Address}
	if a.Door != "" {
		door, err := k.door(ctx, a.Door)
		if err != nil {
			return err
		}
		closed.Door = door.ID()
	}
	ctx, cancel := context.WithTimeout(ctx, handLimit)
	defer cancel()
	match := func(o *knock.Opening) bool { return a.All || o.Door == closed.Door }
	n, left := k.d.manager.CloseByHand(ctx, a.Address, match, fmt.Sprintf("by uid %d", c.Peer.UID))
	closed.Openings = n
	k.d.Log.Event(closed)
	return c.Reply(control.CloseReply{Closed: n - left, Left: left})
}

// reload answers Reload.
func (k *desk) reload(ctx context.Context, c *server.Call) error {
	if err := c.Args(nil); err != nil {
		return err
	}
	outcome := make(chan reloadOutcome, 1)
	k.d.Log.Event(event.ReloadedByHand{UID: c.Peer.UID})
	if err := k.d.ask(ctx, func() { k.d.reloadFor(outcome) }); err != nil {
		return err
	}
	select {
	case o := <-outcome:
		k.forget()
		if o.err != nil {
			return refusal(o.err)
		}
		return c.Reply(control.ReloadReply{Doors: o.doors, Warnings: notNil(o.warnings)})
	case <-k.d.ended:
		return &control.Ending{}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refusal says why a configuration is not used.
func refusal(err error) error {
	var (
		faults  *config.FaultError
		restart *restartError
		r       = &control.ReloadRefused{Faults: []string{}, Restart: []string{}}
	)
	switch {
	case errors.As(err, &restart):
		r.Restart = restart.options
	case errors.As(err, &faults):
		r.Faults = strings.Split(strings.TrimSpace(faults.Error()), "\n")
	default:
		r.Faults = strings.Split(strings.TrimSpace(err.Error()), "\n")
	}
	return r
}
