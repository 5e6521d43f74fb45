package server

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"knockd/internal/control"
)

// How many connections there may be.
const (
	maxConns    = 32
	maxOfUID    = 8
	keptForRoot = 4 // of maxConns
)

// peerLimit is how long a peer may take for a call, from the end of the one
// before, and to take a reply.
const peerLimit = 10 * time.Second

// acceptWait is the pause when nobody can be let in.
const acceptWait = 100 * time.Millisecond

// How many calls a connection of others than root gets answered: so many at once,
// and then one in so much time.
const (
	callsAtOnce = 20
	callPause   = 20 * time.Millisecond
)

// Method is one that the socket answers.
type Method struct {
	Rank control.Rank // at least
	// Stream: it replies until the caller, who must take More, hangs up. Then
	// the context ends.
	Stream bool
	Do     func(ctx context.Context, c *Call) error
}

// Options is what a Server needs.
type Options struct {
	Version string
	// Methods are those of knockd.control, by their full names.
	Methods map[string]Method
	// RankOf says what a peer may do; "" means nothing.
	RankOf func(Peer) control.Rank
}

// Server answers the peers of a socket. Each connection has a goroutine of its
// own, which waits for nobody else's.
type Server struct {
	o       Options
	limit   time.Duration // peerLimit
	methods map[string]Method
	ctx     context.Context
	end     context.CancelFunc
	serving sync.WaitGroup
	turns   *turns

	mu    sync.Mutex // over what follows
	conns map[*conn]bool
	of    map[uint32]int // connections of a user
	ended bool
}

// New returns a Server.
func New(o Options) *Server {
	s := &Server{o: o, limit: peerLimit, turns: newTurns(), conns: map[*conn]bool{}, of: map[uint32]int{}}
	s.methods = s.withService(o.Methods)
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// Serve answers those who connect until the listener is closed.
func (s *Server) Serve(l *net.UnixListener) {
	for {
		c, err := l.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no descriptor is left, or the peer is gone
			time.Sleep(acceptWait)
			continue
		}
		s.accept(c)
	}
}

// accept takes a connection in or refuses it.
func (s *Server) accept(c *net.UnixConn) {
	peer, err := peerOf(c)
	if err != nil {
		c.Close()
		return
	}
	n := &conn{server: s, c: c, peer: peer, frames: framer{r: c}}
	if err := s.admit(n); err != nil {
		n.refuse(err)
		return
	}
	s.serving.Go(n.serve)
}

// admit counts a connection, or says why there is no place for it.
func (s *Server) admit(n *conn) error {
	if s.o.RankOf(n.peer) == "" {
		return &control.NotAllowed{Method: control.Interface}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	root := n.peer.UID == 0
	others := len(s.conns) - s.of[0]
	switch {
	case s.ended:
		return &control.Ending{}
	case s.of[n.peer.UID] >= maxOfUID:
		return &control.TooMany{What: "connections of a user", Limit: maxOfUID}
	case !root && others >= maxConns-keptForRoot:
		return &control.TooMany{What: "connections", Limit: maxConns - keptForRoot}
	case len(s.conns) >= maxConns:
		return &control.TooMany{What: "connections", Limit: maxConns}
	}
	s.conns[n] = true
	s.of[n.peer.UID]++
	return nil
}

func (s *Server) remove(n *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, n)
	if s.of[n.peer.UID]--; s.of[n.peer.UID] == 0 {
		delete(s.of, n.peer.UID)
	}
}

// Answer carries out one call of a peer. Replies go to send; during has a function
// called with a context that ends when the peer takes no more of them. An error
// says that nothing more can be said to the peer.
func (s *Server) Answer(text []byte, peer Peer, send func([]byte) error, during func(func(context.Context) error) error) error {
	call, err := parseCall(text)
	if err != nil {
		return err
	}
	call.Peer, call.send = peer, send
	if err := s.do(call, during); err != nil {
		return call.fail(err)
	}
	return nil
}

func (s *Server) do(call *Call, during func(func(context.Context) error) error) error {
	m, known := s.methods[call.method]
	switch {
	case !known:
		return unknown(call.method)
	case !allowed(s.o.RankOf(call.Peer), m.Rank):
		return &control.NotAllowed{Method: call.method}
	case !m.Stream && m.Rank == control.Reader && call.Peer.UID != 0:
		return s.turns.inTurn(s.ctx, call, m.Do)
	case !m.Stream:
		return m.Do(s.ctx, call)
	case !call.More:
		return &protocolError{name: "ExpectedMore"}
	}
	return during(func(ctx context.Context) error { return m.Do(ctx, call) })
}

// Drop hangs up on those peers that match.
func (s *Server) Drop(match func(Peer) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.conns {
		if match(n.peer) {
			n.c.Close()
		}
	}
}

// Close hangs up on everybody and returns when nobody is answered any more.
func (s *Server) Close() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.end()
	s.Drop(func(Peer) bool { return true })
	s.serving.Wait()
}

// allowed reports whether a rank suffices.
func allowed(has, needs control.Rank) bool {
	ranks := []control.Rank{"", control.Reader, control.Admin}
	return has != "" && slices.Index(ranks, has) >= slices.Index(ranks, needs)
}
