//go:build !linux

package client

import (
	"context"
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
	at := time.Now()
	conn, err := s.dialer("tcp").DialContext(ctx, "tcp", to.String())
	s.answered(at, to, conn, err)
	switch {
	case err == nil:
		return conn.Close()
	case IsRefused(err) || isTimeout(err):
		return nil
	}
	return withoutAddress(err)
}

// answered notes a SYN whose reply is known, or did not come while the connection
// was left alone.
func (s *Sender) answered(at time.Time, to netip.AddrPort, conn net.Conn, err error) {
	sent := Sent{At: at, What: "tcp syn", To: to}
	switch {
	case err == nil:
		sent.From, sent.Reply.Kind = addrPort(conn.LocalAddr()), Accepted
	case IsRefused(err):
		sent.Reply.Kind = Reset
	case !isTimeout(err):
		sent.Reply.Kind, sent.Reply.Err = Refusal, withoutAddress(err)
	}
	s.note(sent)
}
