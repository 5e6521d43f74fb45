package server

import (
	"context"
	"time"
)

// turns are those of whom only reads: one at a time, and between them a pause as
// many times as long, so that all of them together take a quarter of a processor
// and never hold up for long what they look at.
type turns struct {
	place chan struct{} // holds one token while it is somebody's turn
	rest  time.Time     // when the next turn may begin; his who has the token
}

// pauses is how many times as long as a turn the pause behind it is, and longest
// the longest turn that counts: one that waits takes nothing.
const (
	pauses  = 3
	longest = 50 * time.Millisecond
)

func newTurns() *turns { return &turns{place: make(chan struct{}, 1)} }

// turn is somebody's turn. It begins with take and ends with give, several times.
type turn struct {
	*turns
	ctx   context.Context
	began time.Time
}

// take waits for the turn.
func (t *turn) take() error {
	select {
	case t.place <- struct{}{}:
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
	if wait := time.Until(t.rest); wait > 0 {
		select {
		case <-time.After(wait):
		case <-t.ctx.Done():
			<-t.place
			return t.ctx.Err()
		}
	}
	t.began = time.Now()
	return nil
}

// give ends the turn.
func (t *turn) give() {
	now := time.Now()
	t.rest = now.Add(pauses * min(now.Sub(t.began), longest))
	<-t.place
}

// inTurn has a call carried out in turns: it ends one while a reply is sent, for
// which the peer may take his time.
func (t *turns) inTurn(ctx context.Context, c *Call, do func(context.Context, *Call) error) error {
	own := &turn{turns: t, ctx: ctx}
	if err := own.take(); err != nil {
		return err
	}
	has := true
	send := c.send
	c.send = func(text []byte) error {
		own.give()
		has = false
		if err := send(text); err != nil || c.last {
			return err
		}
		err := own.take()
		has = err == nil
		return err
	}
	err := do(ctx, c)
	c.send = send
	if has {
		own.give()
	}
	return err
}
