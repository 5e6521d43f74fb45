package daemon

import (
	"context"
	"os"
	"slices"
	"time"

	"knockd/internal/config"
	"knockd/internal/control"
	"knockd/internal/control/server"
	"knockd/internal/engine"
	"knockd/internal/event"
	"knockd/internal/history"
	"knockd/internal/knock"
	"knockd/internal/netstate"
	"knockd/internal/openings"
)

// status answers Status.
func (k *desk) status(ctx context.Context, c *server.Call) error {
	if err := c.Args(nil); err != nil {
		return err
	}
	s, err := k.see(ctx)
	if err != nil {
		return err
	}
	r := control.StatusReply{
		Rank: k.rankOf(c.Peer), Version: k.d.Control.Version, PID: os.Getpid(), Started: k.started.Truncate(time.Millisecond), Config: k.d.Control.ConfigFile,
		Interfaces: interfaces(s), Doors: len(s.doors), Disabled: disabled(s.doors),
		Confinement: confinement(), Reload: s.reload, Firewall: k.firewall(s.conf),
	}
	r.Openings.Current = k.d.manager.Pending()
	k.counters.fill(&r, s, k.d.manager.Limit())
	r.HideFrom(r.Rank)
	return c.Reply(r)
}

// interfaces returns those that are listened on, then those that are waited
// for.
func interfaces(s *seen) []control.ListenedOn {
	list := []control.ListenedOn{}
	state, _ := netstate.Read()
	for _, name := range s.listening.On {
		i := control.ListenedOn{Name: name, Since: s.since[name], Addresses: s.listening.Local}
		if state != nil {
			if _, addrs, ok := state.Named(name); ok {
				i.Addresses = addrs
			}
		}
		list = append(list, i)
	}
	for _, e := range s.listening.Waits() {
		if missing, ok := e.(event.InterfaceMissing); ok {
			list = append(list, control.ListenedOn{Name: missing.Interface})
		}
	}
	for i := range list {
		list[i].Addresses = notNil(list[i].Addresses)
	}
	return list
}

// notNil has an empty list written as one.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func disabled(doors []*engine.Door) (n int) {
	for _, d := range doors {
		if isDisabled(d) {
			n++
		}
	}
	return n
}

// isDisabled reports whether a door has neither a sequence nor keys.
func isDisabled(d *engine.Door) bool { return d.Keys() == nil && len(d.Sequence) == 0 }

func (k *desk) firewall(conf *config.Config) *control.Firewall {
	if k.d.Firewall == nil || k.d.Firewall.Load() == nil {
		return nil
	}
	k.counters.mu.Lock()
	defer k.counters.mu.Unlock()
	return &control.Firewall{Mode: string(conf.NftMode), Table: conf.NftTable.String(), Fault: k.counters.firewall}
}

// fill adds what was counted. Most is how many openings are held at once.
func (c *counters) fill(r *control.StatusReply, s *seen, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.Openings.Total, r.Refused, r.Failed = c.opened, c.refused, c.failed
	for _, l := range []control.Limit{
		{Name: control.LimitOpenings, Limit: most},
		{Name: control.LimitAttempts, Limit: s.conf.MaxAttempts},
		{Name: control.LimitLogLines, Limit: s.conf.LogRate},
		{Name: control.LimitMessages},
	} {
		if n := c.limits[l.Name]; n != nil {
			l.Reached, l.Last = n.reached, n.last
		}
		r.Limits = append(r.Limits, l)
	}
	r.Hits = &control.Hits{
		Attempts: control.Count{Current: s.stats.Attempts, Total: s.stats.Begun}, Failed: s.stats.Failed, Expired: s.stats.Expired,
		RefusedMessages: s.stats.RefusedMessages, IgnoredSources: s.stats.Ignored, DroppedPackets: s.dropped,
	}
}

// pageSize is how many of a list are in a reply.
const pageSize = 500

// doors answers Doors.
func (k *desk) doors(ctx context.Context, c *server.Call) error {
	if err := c.Args(nil); err != nil {
		return err
	}
	s, err := k.see(ctx)
	if err != nil {
		return err
	}
	held, rank := k.d.manager.Counts(), k.rankOf(c.Peer)
	var failed map[knock.DoorID]uint64
	if rank == control.Admin {
		if err := k.d.ask(ctx, func() { failed = k.d.engine.FailedAt() }); err != nil {
			return err
		}
	}
	list := make([]control.Door, len(s.doors))
	for i, d := range s.doors {
		list[i] = described(d)
		list[i].Openings.Current, list[i].Failed = held[d.ID()], failed[d.ID()]
		k.counters.fillDoor(&list[i])
		list[i].HideFrom(rank)
	}
	return server.Pages(c, slices.Chunk(list, pageSize), func(page []control.Door, left int) any {
		return control.DoorsReply{Doors: notNil(page), LeftOut: left}
	})
}

func (c *counters) fillDoor(d *control.Door) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.doors[d.Door]; n != nil {
		d.Openings.Total, d.Last = n.opened, n.last
	}
}

// described returns a door as the socket shows it.
func described(d *engine.Door) control.Door {
	v := control.Door{
		Door: d.ID().String(), Kind: control.KindSequence, Disabled: isDisabled(d), Opens: []string{},
		Timeout: control.Seconds(d.CmdTimeout), Steps: len(d.Sequence), SeqTimeout: control.Seconds(d.Door.Timeout),
		Allow: d.Allow, Deny: d.Deny,
	}
	switch {
	case d.Keys() != nil:
		v.Kind, v.SeqTimeout = control.KindKeys, 0
	case d.OneTimeFile != "":
		v.Kind = control.KindOneTime
	}
	for _, r := range d.Open {
		v.Opens = append(v.Opens, r.String())
	}
	for _, a := range d.Actions {
		switch {
		case a.Args.Start != "":
			v.Commands = true
		case a.Opens == config.OpensNamed:
			v.Opens = append(v.Opens, a.Args.Port.Proto.String()+"/*")
		case a.Args.Value != "":
			v.Opens = append(v.Opens, "list "+a.Args.Value)
		}
	}
	return v
}

// openings answers Openings.
func (k *desk) openings(ctx context.Context, c *server.Call) error {
	which, err := c.Selection()
	if err == nil {
		err = k.known(ctx, which.Door)
	}
	if err != nil {
		return err
	}
	reply := func(page []control.Opening, left int) any {
		return control.OpeningsReply{Openings: notNil(page), LeftOut: left}
	}
	if which == (control.Selection{}) && !c.More { // nobody is looked at only to be counted
		page := k.page(0, nil)
		return c.Reply(reply(page.shown, max(k.d.manager.Pending()-len(page.shown), 0)))
	}
	return server.Pages(c, func(yield func([]control.Opening) bool) {
		for page := k.page(0, matching(&which)); page.last != 0; page = k.page(page.last, matching(&which)) {
			if len(page.shown) > 0 && !yield(page.shown) {
				return
			}
		}
	}, reply)
}

// openingsPage is some openings, and the number of the last one that was looked
// at; 0 if none was.
type openingsPage struct {
	shown []control.Opening
	last  uint64
}

func (k *desk) page(above uint64, match func(*knock.Opening) bool) (p openingsPage) {
	held, last := k.d.manager.Page(above, pageSize, match)
	for i := range held {
		p.shown = append(p.shown, k.shown(&held[i]))
	}
	p.last = last
	return p
}

// matching is a Selection for openings as they are held; nil if it takes all.
func matching(which *control.Selection) func(*knock.Opening) bool {
	if *which == (control.Selection{}) {
		return nil
	}
	return func(o *knock.Opening) bool {
		return which.Holds(&control.Opening{Door: o.Door.String(), Address: o.Addr, For: o.For()})
	}
}

// shown returns an opening as the socket shows it.
func (k *desk) shown(h *openings.Held) control.Opening {
	v := control.Opening{
		Door: h.Door.String(), Address: h.Addr, Host: h.Host, For: h.For(), What: h.What, By: by(h.Vars.Client, h.UID),
		Client: h.Vars.Client, UID: h.UID, Fault: h.Fault,
	}
	if h.Runs {
		v.What = ""
	}
	switch h.Stage {
	case openings.Opening:
		v.State = control.StateOpening
	case openings.Open:
		v.State = control.StateOpen
		if !h.Stays {
			left := control.Seconds(h.Left)
			v.Left, v.Since = &left, k.d.Now().Add(h.Left-h.Timeout).Round(time.Second)
		}
	case openings.Closing:
		v.State = control.StateClosing
	}
	return v
}

// maxAttempts is how many attempts are shown.
const maxAttempts = 1000

// attempts answers Attempts.
func (k *desk) attempts(ctx context.Context, c *server.Call) error {
	which, err := c.Selection()
	if err != nil {
		return err
	}
	var door knock.DoorID
	if which.Door != "" {
		d, err := k.door(ctx, which.Door)
		if err != nil {
			return err
		}
		door = d.ID()
	}
	var (
		found []knock.Attempt
		live  int
	)
	k.sight.mu.Lock() // one at a time
	err = k.d.ask(ctx, func() {
		found, live = k.d.engine.Attempts(door, which.Address, maxAttempts), k.d.engine.Stats().Attempts
	})
	k.sight.mu.Unlock()
	if err != nil {
		return err
	}
	r := control.AttemptsReply{Attempts: []control.Attempt{}}
	if which == (control.Selection{}) {
		r.LeftOut = live - len(found)
	}
	slices.SortStableFunc(found, func(a, b knock.Attempt) int { return a.Began.Compare(b.Began) })
	for _, a := range found {
		r.Attempts = append(r.Attempts, control.Attempt{
			Door: a.Door.ID().String(), Address: a.Src, Stage: a.Stage, Stages: len(a.Door.Sequence), Since: a.Began, Expires: a.Expires,
		})
	}
	return c.Reply(r)
}

// history answers History.
func (k *desk) history(ctx context.Context, c *server.Call) error {
	var a control.HistoryArgs
	if err := c.Args(map[string]any{"since": &a.Since, "door": &a.Door, "address": &a.Address}); err != nil {
		return err
	}
	q := history.Query{Since: a.Since, Address: a.Address.Unmap().WithZone("")}
	pages := func(yield func([]control.Visit) bool) {
		for visits := range k.d.history.Visits(q) {
			var page []control.Visit
			for i := range visits {
				if v := visited(&visits[i]); a.Door == "" || a.Door == v.Door {
					page = append(page, v)
				}
			}
			if len(page) > 0 && !yield(page) {
				return
			}
		}
	}
	return server.Pages(c, pages, func(page []control.Visit, left int) any {
		return control.HistoryReply{Visits: notNil(page), LeftOut: left}
	})
}

// visited returns a visit as the socket shows it.
func visited(v *history.Visit) control.Visit {
	return control.Visit{
		Door: v.Door.String(), Address: v.Knocker.Addr, Host: v.Knocker.Host, For: v.For, What: v.What,
		By: by(v.Client, v.UID), Client: v.Client, UID: v.UID, Opened: v.Opened, Closed: v.Closed, Why: v.Why,
	}
}

// by says who had a door opened.
func by(client string, uid *uint32) string {
	switch {
	case uid != nil:
		return control.ByOperator
	case client != "":
		return control.ByMessage
	}
	return control.ByKnock
}
