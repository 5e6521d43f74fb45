package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// What a Dialer does if nothing else is asked for.
const (
	DefaultTimeout = 10 * time.Second
	DefaultRetry   = 3
)

// minWindow is the shortest time that a try waits before the next one: a slow
// path takes 700 ms there and back, and a server has a command to run.
const minWindow = time.Second

// Dialer asks for a door until it is open.
type Dialer struct {
	Opener
	Route
	Hosts []netip.Addr
	Port  uint16 // the TCP port behind the door

	// Timeout is the time spent on waiting, all tries together; the time in
	// which the hits are sent is not counted.
	Timeout time.Duration
	// Retry is how often the door is asked for again. Where Timeout is short,
	// it is asked for less often, so that each try waits for 1 s.
	Retry int
	// Pause is the pause between asking and the first attempt to connect.
	Pause time.Duration
	// OnRetry, if set, is called before each repeat with its number.
	OnRetry func(repeat int)
}

// Dial asks and waits, and returns the connection that got through. While it
// waits it does not ask, and while it asks nothing else is sent. A door that
// stayed shut is a *ClosedError.
func (d *Dialer) Dial(ctx context.Context) (net.Conn, error) {
	left := d.Timeout
	tries := d.tries()
	for repeat := 0; ; repeat++ {
		if repeat > 0 && d.OnRetry != nil {
			d.OnRetry(repeat)
		}
		conn, spent, err := d.try(ctx, repeat, left/time.Duration(tries-repeat))
		var shut *ClosedError
		if !errors.As(err, &shut) {
			return conn, err
		}
		if left -= spent; repeat == tries-1 {
			shut.Timeout = d.Timeout
			return nil, shut
		}
	}
}

// tries returns how often the door is asked for, at least once.
func (d *Dialer) tries() int {
	return max(1, min(1+d.Retry, int(d.Timeout/minWindow)))
}

// try asks once and waits for the time of the window.
func (d *Dialer) try(ctx context.Context, repeat int, window time.Duration) (net.Conn, time.Duration, error) {
	if err := d.Ask(ctx, d.Hosts, repeat); err != nil {
		return nil, 0, err
	}
	if err := sleep(ctx, d.Pause); err != nil {
		return nil, 0, err
	}
	conn, err := d.probe(ctx, d.Hosts, d.Port, window)
	return conn, window, err
}
