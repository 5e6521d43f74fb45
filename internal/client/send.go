package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"knockd/internal/knock"
)

// Sender sends single hits.
type Sender struct {
	Route
	// Flags, if not zero, are those of every TCP hit: exactly these, in a
	// segment made by hand. That takes the privilege for raw sockets.
	Flags knock.Flags
}

// HitError is a hit that could not be sent.
type HitError struct {
	Host netip.Addr
	Err  error
}

// Error says which host the hit was for. The port is part of a secret.
func (e *HitError) Error() string { return fmt.Sprintf("knock at %s: %v", e.Host, e.Err) }

// Unwrap returns the cause.
func (e *HitError) Unwrap() error { return e.Err }

// Hit puts one packet on the wire: a SYN, a segment with the flags asked for,
// or a datagram of one octet, as knock 0.8 sends it. It does not wait for an
// answer, except on systems where a connection attempt can only be given up
// after a while: there it takes up to the pause, 500 ms at most.
func (s *Sender) Hit(ctx context.Context, host netip.Addr, step knock.Step, pause time.Duration) error {
	err := s.check(host)
	to := netip.AddrPortFrom(host, step.Port)
	switch {
	case err != nil:
	case step.Proto == knock.UDP:
		err = s.datagram(ctx, to)
	case s.Flags != 0:
		err = s.segment(ctx, to, nil)
	default:
		err = s.syn(ctx, to, pause)
	}
	if err != nil {
		return &HitError{host, err}
	}
	return nil
}

func (s *Sender) datagram(ctx context.Context, to netip.AddrPort) error {
	return s.sendDatagram(ctx, s.dialer("udp"), to, []byte{0})
}

// sendDatagram sends a datagram by a dialer.
func (r Route) sendDatagram(ctx context.Context, d *net.Dialer, to netip.AddrPort, data []byte) error {
	note := Sent{At: time.Now(), What: octets("udp", len(data)), To: to}
	conn, err := d.DialContext(ctx, "udp", to.String())
	if err != nil {
		r.failed(note, err)
		return withoutAddress(err)
	}
	note.From = addrPort(conn.LocalAddr())
	return r.write(conn, note, data, nil)
}

// write sends a packet over a connected socket, and closes it, or has the Watcher
// do so. Judge is as in watchConn.
func (r Route) write(conn net.Conn, note Sent, data []byte, judge func(packet []byte) (Reply, bool)) error {
	note.At = time.Now()
	_, err := conn.Write(data)
	if err != nil || r.Watch == nil {
		conn.Close()
		r.failed(note, err)
		return withoutAddress(err)
	}
	r.watchConn(note, conn, judge)
	return nil
}

// octets says how long a packet is.
func octets(what string, n int) string {
	if n == 1 {
		return what + ", 1 octet"
	}
	return fmt.Sprintf("%s, %d octets", what, n)
}

// withoutAddress drops the part of a dial's error that repeats the address,
// and with it the port.
func withoutAddress(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		return fmt.Errorf("%s: %w", call.Syscall, call.Err)
	}
	return err
}
