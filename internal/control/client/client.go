// Package client asks a running knockd, through its control socket.
//
// What it gets back is text from elsewhere: whoever prints it makes it
// printable.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"syscall"

	"github.com/varlink/go/varlink"

	"knockd/internal/control"
)

// Client is a connection to a control socket. It takes one call at a time.
type Client struct {
	conn *varlink.Connection
	pid  int
}

// Dial connects to a socket. The error wraps that of connect(2).
func Dial(ctx context.Context, socket string) (*Client, error) {
	path, err := filepath.Abs(socket)
	if err != nil {
		return nil, err
	}
	// The address is not read: a path may hold what means something in one.
	d := &dialer{path: path}
	conn, err := varlink.NewConnectionWithDialer(ctx, "unix:socket", d)
	if err != nil {
		if inner := (*net.OpError)(nil); errors.As(err, &inner) {
			err = inner.Err // which says "connect"
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Client{conn, d.pid}, nil
}

// dialer dials one path, whatever it is asked for.
type dialer struct {
	path string
	pid  int // who listens
}

// DialContext implements varlink.ContextDialer.
func (d *dialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", d.path)
	if err != nil {
		return nil, err
	}
	d.pid = listenerOf(conn.(*net.UnixConn))
	return conn, nil
}

// PID returns the process that made the socket; 0 if it is not to be seen from
// here.
func (c *Client) PID() int { return c.pid }

// Close hangs up.
func (c *Client) Close() error { return c.conn.Close() }

// Call calls a method and returns its one reply. What the interface calls an
// error is a control.Error.
func Call[R any](ctx context.Context, c *Client, method string, args any) (reply R, err error) {
	receive, err := c.conn.Send(ctx, method, args, 0)
	if err == nil {
		_, err = receive(ctx, &reply)
	}
	return reply, explained(err)
}

// Each calls a method with "more" and gives each reply to take, until there is
// no further one or take returns an error, which is returned.
func Each[R any](ctx context.Context, c *Client, method string, args any, take func(R) error) error {
	receive, err := c.conn.Send(ctx, method, args, varlink.More)
	for err == nil {
		var reply R
		flags, failed := receive(ctx, &reply)
		if err = failed; err != nil {
			break
		}
		if err := take(reply); err != nil || flags&varlink.Continues == 0 {
			return err
		}
	}
	return explained(err)
}

// errHungUp says what a connection's end means in the middle of a call.
var errHungUp = errors.New("knockd has closed the connection")

// explained puts the library's errors in the interface's words.
func explained(err error) error {
	var failed *varlink.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed):
		return named(failed)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return errHungUp
	}
	var (
		method    *varlink.MethodNotFound
		iface     *varlink.InterfaceNotFound
		parameter *varlink.InvalidParameter
	)
	switch {
	case errors.As(err, &method):
		return fmt.Errorf("this knockd does not know %s", method.Method)
	case errors.As(err, &iface):
		return fmt.Errorf("what answers there is no knockd: it does not know %s", iface.Interface)
	case errors.As(err, &parameter):
		return fmt.Errorf("knockd does not take what was given as %q", parameter.Parameter)
	}
	return err
}

// named returns the control.Error that a reply names.
func named(failed *varlink.Error) error {
	for _, e := range control.Errors() {
		if e.Name() != failed.Name {
			continue
		}
		if text, ok := failed.Parameters.(*json.RawMessage); ok && text != nil {
			if err := json.Unmarshal(*text, e); err != nil {
				return fmt.Errorf("%s: %w", failed.Name, err)
			}
		}
		return e
	}
	return fmt.Errorf("knockd answers %s", failed.Name)
}
