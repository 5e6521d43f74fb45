package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// serve accepts one connection on the loopback and returns the other end.
func serve(t *testing.T, f func(*net.TCPConn)) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		c, err := l.Accept()
		if err == nil {
			f(c.(*net.TCPConn))
			c.Close()
		}
		l.Close()
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// buffer is an output that tells when it was closed.
type buffer struct {
	bytes.Buffer
	closed bool
}

func (b *buffer) Close() error { b.closed = true; return nil }

func TestRelayBothWays(t *testing.T) {
	conn := serve(t, func(c *net.TCPConn) {
		text, _ := io.ReadAll(c)
		io.WriteString(c, strings.ToUpper(string(text)))
	})
	var out buffer
	text := strings.Repeat("knock", 1<<18)
	if err := Relay(t.Context(), conn, strings.NewReader(text), &out); err != nil || !out.closed {
		t.Error(err, out.closed)
	}
	if out.String() != strings.ToUpper(text) {
		t.Errorf("%d octets of %d", out.Len(), len(text))
	}
}

// TestRelayIsImmediate: what has come is passed on, not kept for more.
func TestRelayIsImmediate(t *testing.T) {
	conn := serve(t, func(c *net.TCPConn) { io.Copy(c, c) })
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Relay(t.Context(), conn, inR, outW) }()
	for _, key := range "ls\r" {
		b := []byte{byte(key)}
		inW.Write(b)
		if _, err := outR.Read(b); err != nil || b[0] != byte(key) {
			t.Fatalf("%q, %v", b, err)
		}
	}
	inW.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestRelayReset: the other side gives up while there is more to say. What it
// has said arrives all the same.
func TestRelayReset(t *testing.T) {
	conn := serve(t, func(c *net.TCPConn) {
		io.WriteString(c, "bye")
		c.CloseWrite()
		io.CopyN(io.Discard, c, 1000)
		c.SetLinger(0)
	})
	var out buffer
	err := Relay(t.Context(), conn, endless{}, &out)
	if err == nil || out.String() != "bye" || !out.closed {
		t.Errorf("%v, %q, %v", err, out.String(), out.closed)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestRelayEndsWithContext(t *testing.T) {
	conn := serve(t, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	in, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Relay(ctx, conn, in, &buffer{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// openerFunc is an Opener for tests.
type openerFunc func(repeat int) error

func (f openerFunc) Ask(_ context.Context, _ []netip.Addr, repeat int) error { return f(repeat) }

// TestVisit opens a door at the second repeat.
func TestVisit(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().(*net.TCPAddr).AddrPort()
	free.Close()
	var asked, repeats []int
	v := &Dialer{Hosts: []netip.Addr{address.Addr()}, Port: address.Port(), Timeout: 30 * time.Second, Retry: 20,
		OnRetry: func(n int) { repeats = append(repeats, n) },
		Opener: openerFunc(func(repeat int) error {
			if asked = append(asked, repeat); repeat == 2 {
				l, err := net.Listen("tcp", address.String())
				if err != nil {
					return err
				}
				t.Cleanup(func() { l.Close() })
			}
			return nil
		})}
	conn, err := v.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if len(asked) != 3 || len(repeats) != 2 || repeats[1] != 2 {
		t.Errorf("asked %v, repeats %v", asked, repeats)
	}
}

func TestVisitErrors(t *testing.T) {
	v := &Dialer{Hosts: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Port: 1, Timeout: 300 * time.Millisecond, Retry: 3}
	v.Opener = openerFunc(func(int) error { return nil })
	_, err := v.Dial(t.Context())
	if want := "tcp/1 at 127.0.0.1 did not open within 300ms: refused"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	broken := errors.New("broken")
	v.Opener = openerFunc(func(int) error { return broken })
	if _, err := v.Dial(t.Context()); err != broken {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	v.Opener, v.Timeout = openerFunc(func(int) error { cancel(); return nil }), time.Hour
	if _, err := v.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestResolve(t *testing.T) {
	for _, c := range []struct {
		host   string
		family Family
		want   string
	}{
		{"192.0.2.1", Any, "[192.0.2.1]"}, {"192.0.2.1", Both, "[192.0.2.1]"}, {"::ffff:192.0.2.1", IPv4, "[192.0.2.1]"},
		{"fe80::1%lo", IPv6, "[fe80::1%lo]"}, {"2001:db8::1", IPv4, "2001:db8::1 is not an IPv4 address"},
		{"192.0.2.1", IPv6, "192.0.2.1 is not an IPv6 address"},
	} {
		addrs, _, err := Resolve(t.Context(), c.host, c.family)
		got := fmt.Sprint(addrs)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s %v: %s, want %s", c.host, c.family, got, c.want)
		}
	}
	if err := (&Sequence{}).Ask(t.Context(), nil, 1); err != ErrEmptySequence {
		t.Error(err)
	}
}
