package server

import (
	"context"
	"sync"
	"time"

	"knockd/internal/control"
	"knockd/internal/event"
)

// Bounds of what waits for one who watches.
const (
	maxWaiting = 512 // events
	maxAtOnce  = 64  // events in a reply
)

// Hub hands events over to those who watch. Whoever tells it something never
// waits: those who do not take theirs in time lose them.
type Hub struct {
	// Admins, if there is one, is called when an admin begins to watch while none
	// did, and when the last one has ended. It must not call the Hub.
	Admins func()

	watching sync.WaitGroup

	mu       sync.Mutex // over what follows
	watchers map[*watcher]bool
	admins   int
	ended    bool
}

// watcher is one who watches.
type watcher struct {
	rank   control.Rank
	which  control.Selection
	events []control.Event
	lost   int
	wake   chan struct{} // holds one token: there are events, or will be no more
}

// Event takes an event.
func (h *Hub) Event(at time.Time, e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) == 0 {
		return
	}
	v, ok := control.FromEvent(at, e)
	if !ok {
		return
	}
	for w := range h.watchers {
		w.take(&v)
	}
}

func (w *watcher) take(v *control.Event) {
	switch {
	case !v.Kind.VisibleTo(w.rank) || !w.which.Takes(v):
		return
	case len(w.events) >= maxWaiting:
		w.lost++
		return
	}
	w.events = append(w.events, *v)
	w.rouse()
}

func (w *watcher) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Watch replies with the events that one of a rank may see, until the call ends.
func (h *Hub) Watch(ctx context.Context, c *Call, rank control.Rank, which control.Selection) error {
	w := &watcher{rank: rank, which: which, wake: make(chan struct{}, 1)}
	if !h.join(w) {
		return &control.Ending{}
	}
	defer h.leave(w)
	if err := c.Continue(control.WatchReply{Events: []control.Event{}}); err != nil {
		return err
	}
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
		next, last := h.taken(w)
		if last {
			return c.Reply(next)
		}
		if len(next.Events) == 0 { // it was woken twice for the same ones
			continue
		}
		if err := c.Continue(next); err != nil {
			return err
		}
	}
}

// endLimit is how long those who watch may take for the last events.
const endLimit = time.Second

// End has those who watch get the events so far, and no more. It waits for that,
// but not for long.
func (h *Hub) End() {
	h.mu.Lock()
	h.ended = true
	for w := range h.watchers {
		w.rouse()
	}
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		h.watching.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(endLimit):
	}
}

// Watched reports whether an admin watches.
func (h *Hub) Watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.admins > 0
}

func (h *Hub) join(w *watcher) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return false
	}
	if h.watchers == nil {
		h.watchers = map[*watcher]bool{}
	}
	h.watchers[w] = true
	h.watching.Add(1)
	h.count(w, +1)
	return true
}

func (h *Hub) leave(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watchers, w)
	h.watching.Done()
	h.count(w, -1)
}

// count counts the admins who watch.
func (h *Hub) count(w *watcher, more int) {
	if w.rank != control.Admin {
		return
	}
	before := h.admins > 0
	h.admins += more
	if after := h.admins > 0; after != before && h.Admins != nil {
		h.Admins()
	}
}

// taken takes the next events of one who watches, and reports whether they are
// the last ones.
func (h *Hub) taken(w *watcher) (r control.WatchReply, last bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := min(len(w.events), maxAtOnce)
	r.Events, r.Lost = append([]control.Event{}, w.events[:n]...), w.lost
	w.events, w.lost = w.events[n:], 0
	if len(w.events) > 0 {
		w.rouse()
		return r, false
	}
	w.events = nil
	return r, h.ended
}
