package main

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"time"

	"knockd/internal/capture"
	"knockd/internal/cli"
	"knockd/internal/client"
	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/packet"
)

// typed is knocks that were typed, as a capture has them.
type typed struct{ packets []capture.Captured }

// Next implements capture.Source: each packet comes alone.
func (t *typed) Next() ([]capture.Captured, error) {
	if len(t.packets) == 0 {
		return nil, io.EOF
	}
	next := t.packets[:1]
	t.packets = t.packets[1:]
	return next, nil
}

// Close implements capture.Source.
func (*typed) Close() error { return nil }

// typed makes packets of the steps that were typed.
func (o *explainOptions) typed(conf *config.Config, local []netip.Addr, now time.Time) (*typed, error) {
	gap, err := client.ParseDelay(o.gap)
	if err != nil {
		return nil, cli.Usagef(explainUsage, "--gap: %w", err)
	}
	flags, err := client.ParseFlags(o.tcpFlags)
	if err != nil {
		return nil, cli.Usagef(explainUsage, "--flags: %w", err)
	}
	from, to, err := o.ends(conf, local)
	if err != nil {
		return nil, err
	}
	t := &typed{}
	for i, s := range o.steps {
		h := knock.Hit{Src: from, Dst: to, SrcPort: uint16(40000 + i), DstPort: s.Port, Proto: s.Proto}
		if h.Proto == knock.TCP {
			h.Flags, h.Seq = flags, uint32(i+1)
		} else {
			h.PayloadLen = 1 // as knock sends it
		}
		t.packets = append(t.packets, capture.Captured{Packet: packet.Packet{Hit: h}, Time: now.Add(time.Duration(i) * gap)})
	}
	return t, nil
}

// ends returns who knocks, and where.
func (o *explainOptions) ends(conf *config.Config, local []netip.Addr) (from, to netip.Addr, err error) {
	to = local[max(slices.IndexFunc(local, netip.Addr.Is4), 0)]
	for _, d := range slices.Backward(conf.Doors) {
		if d.Target.IsValid() && (d.ID().String() == o.door || len(conf.Doors) == 1) {
			to = d.Target
		}
	}
	for _, a := range []struct {
		name, text string
		addr       *netip.Addr
	}{{"to", o.to, &to}, {"from", o.from, &from}} {
		if a.text == "" {
			continue
		}
		parsed, err := netip.ParseAddr(a.text)
		if err != nil {
			return from, to, cli.Usagef(explainUsage, "--%s %q: not an IP address", a.name, a.text)
		}
		*a.addr = parsed.Unmap().WithZone("")
	}
	if !from.IsValid() {
		from = someKnockers[slices.IndexFunc(someKnockers, func(a netip.Addr) bool { return a.Is4() == to.Is4() })]
	}
	return from, to, nil
}

// lastWords is how long packets are waited for after Ctrl-C: who writes them got it
// too, and hands over what it has.
const lastWords = time.Second

// untilDone returns a source that ends when nobody waits any more. What a pipe has
// still to say is taken.
func untilDone(ctx context.Context, s capture.Source, pipe bool) capture.Source {
	if !pipe {
		return &interruptible{Source: s, ctx: ctx}
	}
	p := &piped{Source: s, ctx: ctx, batches: make(chan arrival), taken: make(chan struct{}), closed: make(chan struct{})}
	go p.read()
	return p
}

type interruptible struct {
	capture.Source
	ctx context.Context
}

// Next implements capture.Source.
func (s *interruptible) Next() ([]capture.Captured, error) {
	if s.ctx.Err() != nil {
		return nil, io.EOF
	}
	return s.Source.Next()
}

// piped reads in a goroutine that may wait for ever.
type piped struct {
	capture.Source
	ctx     context.Context
	batches chan arrival
	taken   chan struct{}
	closed  chan struct{}
	first   bool
}

type arrival struct {
	packets []capture.Captured
	err     error
}

func (s *piped) read() {
	for {
		packets, err := s.Source.Next()
		select {
		case s.batches <- arrival{packets, err}:
		case <-s.closed:
			return
		}
		if err != nil {
			return
		}
		select {
		case <-s.taken:
		case <-s.closed:
			return
		}
	}
}

// Close implements capture.Source.
func (s *piped) Close() error {
	close(s.closed)
	return s.Source.Close()
}

// Next implements capture.Source.
func (s *piped) Next() ([]capture.Captured, error) {
	if s.first {
		s.taken <- struct{}{}
	}
	s.first = true
	select {
	case a := <-s.batches:
		return a.packets, a.err
	case <-s.ctx.Done():
	}
	select {
	case a := <-s.batches:
		return a.packets, a.err
	case <-time.After(lastWords):
		return nil, io.EOF
	}
}
