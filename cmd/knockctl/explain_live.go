package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/control"
	"knockd/internal/control/client"
	"knockd/internal/event"
	"knockd/internal/explain"
	"knockd/internal/knock"
	"knockd/internal/offline"
)

// live is what is explained while it happens: what knockd decides, and what comes
// to this host beside that.
type live struct {
	*telling
	join     explain.Join
	conf     *config.Config // nil: it cannot be read
	ports    *explain.Ports // of it; nil without one
	stale    time.Time      // since when lines of one-time files may be used that are not known as such
	begun    time.Time
	on       []string // the interfaces that knockd listens on
	replies  chan control.ExplainReply
	ended    chan error // of knockd's replies
	seen     chan []capture.Captured
	byIndex  map[int]string // names of interfaces
	watching *capture.Live  // nil: nothing beside knockd's is seen
}

// watchLive explains what comes until it is told to end.
func (o *explainOptions) watchLive(ctx context.Context, w *world) error {
	if o.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.limit)
		defer cancel()
	}
	c, err := w.connect(ctx, *o.socket)
	if err != nil {
		return err
	}
	defer c.Close()
	l := &live{
		begun: w.time(), replies: make(chan control.ExplainReply), ended: make(chan error, 1), seen: make(chan []capture.Captured, 8),
		byIndex: map[int]string{},
	}
	opens, err := l.ask(ctx, c)
	if err != nil {
		return err
	}
	if err := l.readConfig(o); err != nil {
		return err
	}
	l.telling = o.telling(w, l.ports, opens, nil)
	l.join.Emit, l.join.Unseen = l.Packet, l.unseen
	if err := l.watch(ctx, o); err != nil {
		w.speaker().Warn("packets that knockd leaves out are not shown: "+err.Error(), "run as root or grant CAP_NET_RAW")
	} else {
		defer l.watching.Close()
	}
	go func() {
		l.ended <- client.Each(ctx, c, control.MethodExplain, control.Selection{Door: o.door, Address: o.address}, func(r control.ExplainReply) error {
			select {
			case l.replies <- r:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return l.run(ctx, w)
}

// ask asks what knockd listens on, and what its doors open.
func (l *live) ask(ctx context.Context, c *client.Client) (func(knock.DoorID) explain.Opening, error) {
	status, err := client.Call[control.StatusReply](ctx, c, control.MethodStatus, struct{}{})
	if err != nil {
		return nil, err
	}
	for _, i := range status.Interfaces {
		if !i.Since.IsZero() {
			l.on = append(l.on, i.Name)
		}
	}
	opens := map[string]explain.Opening{}
	err = client.Each(ctx, c, control.MethodDoors, struct{}{}, func(r control.DoorsReply) error {
		for _, d := range r.Doors {
			var ports []knock.PortRange
			for _, text := range d.Opens {
				if r, err := knock.ParsePortRange(text); err == nil {
					ports = append(ports, r)
				}
			}
			opens[d.Door] = explain.Opening{Ports: ports, For: time.Duration(d.Timeout)}
		}
		return nil
	})
	return func(d knock.DoorID) explain.Opening { return opens[d.String()] }, err
}

// readConfig looks up which ports belong to sequences, of packets that knockd does
// not see. Whoever cannot read that may not know it, either.
func (l *live) readConfig(o *explainOptions) error {
	conf, err := config.Load(o.config)
	switch {
	case err == nil:
		l.conf, l.ports = conf, offline.Ports(conf)
	case o.show || o.flags.Changed("config"):
		return err
	}
	return nil
}

// smallRing is for how many octets of packets a flood makes us pay.
const smallRing = 1 << 18

// watch watches all that comes: from the one who is asked for or, of everybody, what
// may begin something.
func (l *live) watch(ctx context.Context, o *explainOptions) error {
	spec := &capture.FilterSpec{From: o.address, Ring: smallRing}
	if !o.address.IsValid() {
		spec.Matches = []capture.Match{
			{Proto: knock.TCP, Last: 65535, Flags: knock.FlagMatch{Set: knock.SYN, Clear: knock.ACK}}, {Proto: knock.UDP, Last: 65535},
		}
	}
	s, err := capture.Listen(capture.Any, spec, func(event.Event) {})
	if err != nil {
		return err
	}
	if err := s.Bind(nil); err != nil {
		s.Close()
		return err
	}
	l.watching = s
	go l.read(ctx, s)
	return nil
}

// breath is the pause after packets: whatever comes, they are not looked at faster.
const breath = 50 * time.Millisecond

func (l *live) read(ctx context.Context, s *capture.Live) {
	for {
		batch, err := s.Next()
		if err != nil {
			return
		}
		copied := slices.Clone(batch)
		for i := range copied {
			copied[i].Payload, copied[i].Octets = nil, nil
		}
		select {
		case l.seen <- copied:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(breath):
		case <-ctx.Done():
			return
		}
	}
}

// run brings together what comes, until the end.
func (l *live) run(ctx context.Context, w *world) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	said := false
	for {
		select {
		case r := <-l.replies:
			if !said {
				said = true
				w.say("watching "+l.where()+": knock now", "")
			}
			l.decided(&r)
		case batch := <-l.seen:
			for i := range batch {
				p := &batch[i]
				l.join.Seen(explain.Packet{At: p.Time, Hit: p.Hit})
			}
		case <-tick.C:
			now := w.time()
			l.refresh(now)
			l.join.Pass(now)
			l.Pass(now.Add(-2 * time.Second)) // what waits to be joined is older than that
			l.flush()
			if l.failed != nil {
				return l.failed
			}
		case err := <-l.ended:
			if ctx.Err() != nil {
				err = nil
			}
			return errors.Join(err, l.finish(w))
		case <-ctx.Done():
			return l.finish(w)
		}
	}
}

func (l *live) decided(r *control.ExplainReply) {
	l.Missed += uint64(r.Missed)
	for i := range r.Packets {
		p := explain.FromWire(&r.Packets[i])
		if slices.ContainsFunc(p.Verdicts, func(v knock.Verdict) bool { return v.Opens() }) {
			l.stale = p.At
		}
		l.join.Decided(p)
	}
}

// marked is how long a line that was used may take to be marked.
const marked = 500 * time.Millisecond

// refresh looks at one-time files again, once a door has opened.
func (l *live) refresh(now time.Time) {
	if l.conf == nil || l.stale.IsZero() || now.Sub(l.stale) < marked {
		return
	}
	l.stale = time.Time{}
	if slices.ContainsFunc(l.conf.Doors, func(d *config.Door) bool { return d.OneTimeFile != "" }) {
		*l.ports = *offline.Ports(l.conf)
	}
}

// unseen says what is known of a packet that knockd did not see.
func (l *live) unseen(p *explain.Packet) bool {
	name := l.name(p.Hit.IfIndex)
	if !l.hears(name) {
		p.Unheard = name
	}
	secret := l.ports.Secret(&p.Hit)
	switch {
	case p.Hit.Proto != knock.TCP && p.Hit.Proto != knock.UDP:
		p.Note = "no knock, but it came to this host"
	case secret && p.Unheard == "":
		p.Note = "a port of a sequence, but knockd did not see it: it runs with another configuration, or packets come too fast"
	}
	return l.o.address.IsValid() || p.Unheard == "" || secret
}

func (l *live) name(index int) string {
	name, ok := l.byIndex[index]
	if !ok {
		name = fmt.Sprintf("interface %d", index)
		if i, err := net.InterfaceByIndex(index); err == nil {
			name = i.Name
		}
		l.byIndex[index] = name
	}
	return name
}

// hears reports whether knockd listens on an interface.
func (l *live) hears(name string) bool {
	return slices.ContainsFunc(l.on, func(on string) bool {
		bare, _, _ := strings.Cut(on, ":") // of a labelled address
		return on == capture.Any || bare == name
	})
}

// where names what is listened on.
func (l *live) where() string {
	if len(l.on) == 0 {
		return "no interface"
	}
	return strings.Join(l.on, ", ")
}

func (l *live) finish(w *world) error {
	if l.watching != nil {
		drops, _ := l.watching.Drops()
		l.Missed += drops
	}
	l.join.Close()
	l.Missed += l.join.Missed
	now := w.time()
	return l.end(now, fmt.Sprintf("reached %s in %s", l.where(), explain.Span(now.Sub(l.begun))))
}
