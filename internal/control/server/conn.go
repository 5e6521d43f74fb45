package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// conn is one connection.
type conn struct {
	server *Server
	c      *net.UnixConn
	peer   Peer
	frames framer
	paid   time.Time // until when the calls so far have used up the pace
}

// errPeer: the peer is gone, does not take what it is sent, or breaks the
// protocol. There is nobody to tell.
var errPeer = errors.New("the peer")

// refuse tells a peer why it is not served. What is sent has room: nothing was
// sent before.
func (n *conn) refuse(why error) {
	_ = (&Call{send: n.write}).fail(why)
	n.c.Close()
}

// pace waits until the next call may be answered: who asks without end gets no
// more of the processor than many who ask now and then.
func (n *conn) pace(ctx context.Context) {
	if n.peer.UID == 0 {
		return
	}
	now := time.Now()
	if n.paid.Before(now) {
		n.paid = now
	}
	n.paid = n.paid.Add(callPause)
	ahead := n.paid.Sub(now) - callsAtOnce*callPause
	if ahead <= 0 {
		return
	}
	select {
	case <-time.After(ahead):
	case <-ctx.Done():
	}
}

// serve answers calls, one after the other, until the peer hangs up or may not
// go on.
func (n *conn) serve() {
	defer n.server.remove(n)
	defer n.c.Close()
	for {
		if n.c.SetReadDeadline(time.Now().Add(n.server.limit)) != nil {
			return
		}
		text, err := n.frames.next()
		if err != nil {
			return
		}
		n.pace(n.server.ctx)
		if n.answer(text) != nil {
			return
		}
	}
}

// answer carries out one call. An error ends the connection.
func (n *conn) answer(text []byte) error {
	return n.server.Answer(text, n.peer, n.write, n.whileConnected)
}

// whileConnected calls a function whose context ends when the peer hangs up.
// Calls that it sends meanwhile are kept, within the bound of a message.
func (n *conn) whileConnected(do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(n.server.ctx)
	defer cancel()
	if err := n.c.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		for {
			if err := n.frames.more(); err != nil {
				cancel()
				done <- err
				return
			}
		}
	}()
	err := do(ctx)
	_ = n.c.SetReadDeadline(time.Unix(1, 0)) // ends the reading
	if gone := <-done; !isTimeout(gone) {
		return fmt.Errorf("%w: %w", errPeer, gone)
	}
	return err
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// write sends a reply. A peer that does not take it in time is hung up on: what
// it has got of it is no message.
func (n *conn) write(text []byte) error {
	if err := n.c.SetWriteDeadline(time.Now().Add(n.server.limit)); err != nil {
		return fmt.Errorf("%w: %w", errPeer, err)
	}
	if _, err := n.c.Write(text); err != nil {
		return fmt.Errorf("%w: %w", errPeer, err)
	}
	return nil
}
