package client

import (
	"context"
	"net/netip"
	"time"

	"knockd/internal/knock"
)

// Pace is how the hits of a sequence follow each other.
type Pace struct {
	Sender
	Delay time.Duration // between two hits, 0 or more
	// OnHit, if set, is called before each hit.
	OnHit func(netip.Addr, knock.Step)
}

// Sequence is an Opener: it sends the same steps each time.
type Sequence struct {
	Pace
	Steps []knock.Step
}

// Ask sends the sequence. Every odd repeat sends the first step twice: where a
// hit was lost, the server is left with half an attempt, which swallows the
// next hit.
func (s *Sequence) Ask(ctx context.Context, hosts []netip.Addr, repeat int) error {
	steps := s.Steps
	if repeat%2 == 1 && len(steps) > 0 {
		steps = append([]knock.Step{steps[0]}, steps...)
	}
	return s.send(ctx, hosts, steps)
}

// send sends the steps to all hosts, with the pause between one step and the
// next.
func (p *Pace) send(ctx context.Context, hosts []netip.Addr, steps []knock.Step) error {
	if len(steps) == 0 {
		return ErrEmptySequence
	}
	for i, step := range steps {
		start := time.Now()
		if err := p.step(ctx, hosts, step); err != nil {
			return err
		}
		if i == len(steps)-1 {
			break
		}
		if err := sleep(ctx, p.Delay-time.Since(start)); err != nil {
			return err
		}
	}
	return nil
}

// step sends one hit to each host.
func (p *Pace) step(ctx context.Context, hosts []netip.Addr, step knock.Step) error {
	return anyOf(hosts, func(host netip.Addr) error {
		if p.OnHit != nil {
			p.OnHit(host, step)
		}
		return p.Hit(ctx, host, step, p.Delay)
	})
}

// anyOf sends something to each host. It suffices that one of them can be
// reached: this machine may have one family only. The error is the first.
func anyOf(hosts []netip.Addr, send func(netip.Addr) error) error {
	var failed error
	sent := 0
	for _, host := range hosts {
		err := send(host)
		switch {
		case err == nil:
			sent++
		case failed == nil:
			failed = err
		}
	}
	if sent > 0 {
		return nil
	}
	return failed
}

// sleep waits, unless the context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
