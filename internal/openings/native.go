package openings

import (
	"context"
	"fmt"

	"knockd/internal/knock"
)

// Native opens and closes doors of one kind without a shell. Both calls may
// come from several goroutines at once, but never for the same opening.
type Native interface {
	// Open opens o for o.Addr; again for one that is open already starts its
	// time anew.
	// Both calls get at most StopLimit.
	Open(ctx context.Context, o *knock.Opening) error
	// Close closes it. It is called when o.Timeout is over too, even if the
	// kernel has closed it by itself, and by a later daemon that knows o from
	// the journal.
	// That nothing is open is no error.
	Close(ctx context.Context, o *knock.Opening) error
}

// byCommand reports whether commands open and close it, and no Native.
func byCommand(o *knock.Opening) bool { return o.Action == "" }

// closes reports whether the opening has to be closed by us. With a Native a
// Timeout of 0 means that nothing of ours closes the door.
func closes(o *knock.Opening) bool {
	if !byCommand(o) {
		return o.Timeout > 0
	}
	return o.Args.Stop != ""
}

// empty reports whether there is nothing to open. A stop command without a
// start command does nothing, as in knockd 0.8.
func empty(o *knock.Opening) bool { return o.Args.Start == "" && byCommand(o) }

// nativeKey is what makes two native openings the same.
type nativeKey struct {
	door   knock.DoorID
	open   string
	action string
	args   knock.Arguments
}

func keyOf(o *knock.Opening) nativeKey {
	return nativeKey{o.Door, o.For(), o.Action, o.Args}
}

// replaceNative makes e the opening of its key: the one before it ends without
// being closed. While something is done to that one e waits; if that one waits
// itself, it does as well as e.
func (s *schedule) replaceNative(e *entry) {
	old := s.natives[keyOf(&e.Opening)]
	if old != nil && old.state == queued {
		s.forget(e)
		return
	}
	s.natives[keyOf(&e.Opening)] = e
	switch {
	case old == nil:
		s.queue(e)
	case old.state == starting, old.state == stopping:
		old.after = e
	default:
		s.leave(old)
		s.handOver(old, e)
	}
}

// mayBeOpen reports whether the kernel may hold an opening that did not open
// well.
func (e *entry) mayBeOpen() bool { return !byCommand(&e.Opening) && !e.delays.first.IsZero() }

// handOver ends an opening without closing it: e goes on with it.
func (s *schedule) handOver(old, e *entry) {
	e.before = old
	s.forget(old)
	s.queue(e)
}

// forget ends an opening without a word to the journal.
func (s *schedule) forget(e *entry) {
	e.state = ended
	s.release(e)
}

// openNative opens e in the kernel.
func (m *Manager) openNative(e *entry) Result {
	n, err := m.native(e)
	if err == nil {
		ctx, cancel := context.WithTimeout(m.starts, StopLimit)
		defer cancel()
		err = n.Open(ctx, &e.Opening)
	}
	return Result{Err: err}
}

func (m *Manager) closeNative(e *entry) Result {
	n, err := m.native(e)
	if err == nil {
		ctx, cancel := context.WithTimeout(m.stops, StopLimit)
		defer cancel()
		err = n.Close(ctx, &e.Opening)
	}
	return Result{Err: err}
}

func (m *Manager) native(e *entry) (Native, error) {
	if n, ok := m.o.Natives[e.Action]; ok {
		return n, nil
	}
	return nil, fmt.Errorf("nothing here closes openings of kind %q", e.Action)
}
