package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// When a port is tried. Linux repeats an unanswered SYN a second after it, and
// again after one or two more. Were an attempt begun at the same moment, a door
// that opens just before would let in both, and the server would see a
// connection too many: therefore every fourth gap is wider, and an attempt is
// given up before its second repeat.
const (
	probeInterval = 250 * time.Millisecond
	probeShift    = probeInterval / 2
	probesPerTurn = 4
	probeLife     = 1900 * time.Millisecond
)

// probeTime returns how long after the first the nth attempt begins.
func probeTime(n int) time.Duration {
	return time.Duration(n)*probeInterval + time.Duration(n/probesPerTurn)*probeShift
}

// Answer is what a host said to attempts to connect.
type Answer int

// The answers. A firewall's "prohibited" counts as Unreachable.
const (
	NoAnswer Answer = iota
	Refused
	Unreachable
)

// String returns the answer in words.
func (a Answer) String() string {
	return [...]string{"no answer", "refused", "unreachable"}[a]
}

// ClosedError says that the port did not open in time.
type ClosedError struct {
	Hosts   []netip.Addr
	Port    uint16 // TCP
	Timeout time.Duration
	Answer  Answer // the last one
}

// Error says so.
func (e *ClosedError) Error() string {
	text := ""
	for i, host := range e.Hosts {
		if i > 0 {
			text += " and "
		}
		text += host.String()
	}
	return fmt.Sprintf("tcp/%d at %s did not open within %v: %v", e.Port, text, e.Timeout, e.Answer)
}

// probe tries to connect to a TCP port again and again while earlier attempts
// stay pending, and returns the first connection. When the window has passed,
// the error is a *ClosedError; nothing is pending on return.
func (r Route) probe(ctx context.Context, hosts []netip.Addr, port uint16, window time.Duration) (net.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, window)
	p := &prober{Route: r, hosts: hosts, port: port, results: make(chan probeResult)}
	conn, err := p.run(limited)
	cancel()
	conn = p.drain(conn)
	switch {
	case conn != nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, err
	}
	return nil, &ClosedError{hosts, port, window, p.last}
}

// prober keeps the attempts of one probe.
type prober struct {
	Route
	hosts   []netip.Addr
	port    uint16
	pending int
	last    Answer
	results chan probeResult
}

type probeResult struct {
	conn net.Conn
	err  error
}

// run begins attempts until one succeeds, one fails in a way that all will
// fail, or the context ends.
func (p *prober) run(ctx context.Context) (net.Conn, error) {
	start := time.Now()
	next := time.NewTimer(0)
	defer next.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-next.C:
			p.begin(ctx)
			n++
			next.Reset(time.Until(start.Add(probeTime(n))))
		case result := <-p.results:
			p.pending--
			if result.err == nil || !p.judge(result.err) {
				return result.conn, result.err
			}
		}
	}
}

// begin starts an attempt at each host.
func (p *prober) begin(ctx context.Context) {
	for _, host := range p.hosts {
		p.pending++
		go func() {
			conn, err := p.dial(ctx, host)
			p.results <- probeResult{conn, err}
		}()
	}
}

func (p *prober) dial(ctx context.Context, host netip.Addr) (net.Conn, error) {
	if err := p.check(host); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeLife)
	defer cancel()
	return p.dialer("tcp").DialContext(ctx, "tcp", netip.AddrPortFrom(host, p.port).String())
}

// judge takes note of a failed attempt and says whether a later one may
// succeed.
func (p *prober) judge(err error) bool {
	switch {
	case IsRefused(err):
		p.last = Refused
	case IsUnreachable(err):
		p.last = Unreachable
	case isTimeout(err):
		// No answer, or not yet: what was heard last stands.
	default:
		return false
	}
	return true
}

// drain waits for the pending attempts, whose context has ended. A connection
// that comes about meanwhile is returned if there is none yet.
func (p *prober) drain(conn net.Conn) net.Conn {
	for ; p.pending > 0; p.pending-- {
		late := <-p.results
		switch {
		case late.err != nil:
		case conn == nil:
			conn = late.conn
		default:
			late.conn.Close()
		}
	}
	return conn
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
