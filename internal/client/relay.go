package client

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
)

// relayBuffer is how much is carried at once. What has arrived is passed on
// at once, however little it is.
const relayBuffer = 128 << 10

// Relay carries what comes from in to the connection and what comes from the
// connection to out, until both directions have ended. The end of one is
// passed on, and the other goes on: in's end closes the connection for
// writing, the connection's closes out. It returns what went wrong, or
// the context's error, after which in and out may still be in use. That nobody
// reads out any more is no fault: it ends both.
func Relay(ctx context.Context, conn net.Conn, in io.Reader, out io.WriteCloser) error {
	defer conn.Close()
	sent, received := make(chan error, 1), make(chan error, 1)
	go func() { sent <- end(closeWrite(conn), send(conn, in)) }()
	go func() { received <- end(out.Close, receive(out, conn)) }()
	var failed error
	for sent != nil || received != nil {
		select {
		case err := <-sent:
			// What the other side has still said is worth having.
			sent, failed = nil, err
		case err := <-received:
			if errors.Is(err, syscall.EPIPE) {
				return nil
			}
			if received = nil; err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return failed
}

// closeWrite returns what ends the writing side of a connection.
func closeWrite(conn net.Conn) func() error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return func() error { return nil }
	}
	return func() error {
		err := half.CloseWrite()
		if errors.Is(err, syscall.ENOTCONN) {
			return nil // the other side has reset it, which its reader tells
		}
		return err
	}
}

// send carries to the connection until the input ends.
func send(conn net.Conn, in io.Reader) error {
	if done, err := spliceIn(conn, in); done {
		return err
	}
	return carry(conn, in)
}

// receive carries from the connection until it ends.
func receive(out io.Writer, conn net.Conn) error {
	if done, err := spliceOut(out, conn); done {
		return err
	}
	return carry(out, conn)
}

// carry copies to the end of the source.
func carry(to io.Writer, from io.Reader) error {
	_, err := io.CopyBuffer(onlyWriter{to}, onlyReader{from}, make([]byte, relayBuffer))
	return err
}

// end passes an end on, and returns what went wrong first.
func end(pass func() error, err error) error {
	if passing := pass(); err == nil {
		err = passing
	}
	return err
}

// onlyReader and onlyWriter hide the shortcuts of io.Copy, which between a
// socket and a file end in a smaller buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)
