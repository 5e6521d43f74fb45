//go:build !linux

package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// The time that a connection attempt is left alone: long enough that its SYN
// is out, and too short for a repeat of it. Windows repeats a refused SYN
// after 500 ms, the BSDs an unanswered one after a second.
const (
	minLinger = 20 * time.Millisecond
	maxLinger = 500 * time.Millisecond
)

// syn begins a connection and gives it up after the pause.
func (s *Sender) syn(ctx context.Context, to netip.AddrPort, pause time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, min(max(pause, minLinger), maxLinger))
	defer cancel()
	conn, err := s.dialer("tcp").DialContext(ctx, "tcp", to.String())
	if err == nil {
		return conn.Close()
	}
	var timeout net.Error
	if IsRefused(err) || errors.As(err, &timeout) && timeout.Timeout() {
		return nil
	}
	return withoutAddress(err)
}
