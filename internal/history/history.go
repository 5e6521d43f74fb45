package history

import (
	"iter"
	"sync"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// Defaults of Settings.
const (
	DefaultOctets = 4 << 20
	DefaultAge    = 90 * 24 * time.Hour
)

// MaxOctets is the most that Settings may have: all of a file is read at start.
const MaxOctets = 64 << 20

// Settings are what a configuration says. The zero value is not ready.
type Settings struct {
	File   string        // absolute; "": in memory alone
	Octets int64         // that the file may have; half of them as the file has it are remembered
	Age    time.Duration // after which a visit that is over is forgotten
}

// History is what is remembered. It may be used by many goroutines, none of
// which waits for a disk.
type History struct {
	log func(event.Event)
	now func() time.Time

	writer   sync.WaitGroup
	wake     chan struct{} // holds one token: the file lacks something
	settings chan struct{} // holds one token: another file is wanted
	closing  chan struct{}

	mu sync.Mutex // over all that follows
	memory
	set        Settings
	pending    []byte // lines that the file lacks
	anew       bool   // the file lacks more than these: it is written anew
	reconciled bool   // what lasts is known to
	writes     bool   // there is a writer
	closed     bool
}

// New returns a history with these settings, and what their file has. What fails
// is told to log, which must not call the History.
func New(set Settings, log func(event.Event)) *History {
	h := &History{
		log: log, now: time.Now, set: set, wake: make(chan struct{}, 1), settings: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	h.clear()
	if set.File != "" {
		h.writes = true
		f := &file{}
		h.flush(f)
		h.writer.Go(func() { h.keep(f) })
	}
	return h
}

// Set changes the settings. A file that is another one is read beside the
// caller, and what it has is added.
func (h *History) Set(set Settings) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.look()
	if h.closed || set == h.set {
		return
	}
	h.set = set
	h.forget(h.now())
	h.trim()
	h.pending, h.anew = nil, true
	if set.File != "" && !h.writes {
		h.writes = true
		h.writer.Go(func() { h.keep(&file{}) })
	}
}

// look has the writer look at the file at once: it may be another one, or one that
// could not be used and can be.
func (h *History) look() {
	select {
	case h.settings <- struct{}{}:
	default:
	}
}

// Close writes what is not written yet. Later events are lost.
func (h *History) Close() {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.closed = true
	h.mu.Unlock()
	close(h.closing)
	h.writer.Wait()
}

// Event takes what has happened.
func (h *History) Event(at time.Time, e event.Event) {
	switch e := e.(type) {
	case event.Opened:
		h.begin(at, &e.Opening)
	case event.CommandStarted:
		if !e.Stop {
			h.begin(at, &e.Opening)
		}
	case event.Closed:
		h.end(at, &e.Opening, e.Why)
	case event.GivenUp:
		h.givenUp(at, &e)
	case event.ClosedByOthers:
		h.endAll(at, e.Closed, "closed by "+e.By)
	case event.Restored:
		h.endAll(at, e.Closed, "closed by "+e.By)
	}
}

// givenUp ends a visit that did not begin, or whose door stays open. The end of a
// command's is told before its stop command runs.
func (h *History) givenUp(at time.Time, e *event.GivenUp) {
	switch {
	case !e.Close:
		h.end(at, &e.Opening, "its command could not be run")
	case e.Opening.Native:
		h.end(time.Time{}, &e.Opening, "it could not be closed")
	}
}

// begin takes an opening. One that goes on with another, for the same knocker
// and by the same hand, is the same visit.
func (h *History) begin(at time.Time, o *event.Opening) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	k := keyOfEvent(o)
	if before := h.open[k]; o.Native && len(before) > 0 {
		if v := before[0]; openerOf(v.Client, v.UID) == openerOf(o.Client, o.UID) {
			return
		}
		h.finish(k, at, "opened anew")
	}
	e := &entry{Visit: Visit{
		Door: o.Door, Knocker: o.Knocker, For: plain(o.For), What: k.what, Client: o.Client, UID: o.UID, Opened: rounded(at),
	}}
	if o.Stays {
		e.Why = whyStays
	}
	h.insert(e)
	line := appendVisit(nil, e)
	h.grow(e, len(line))
	h.write(line)
	h.trim()
	h.forget(at)
}

// end takes that an opening has closed.
func (h *History) end(at time.Time, o *event.Opening, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.finish(keyOfEvent(o), at, why)
}

// endAll takes that somebody has closed openings, of which it may not be known
// what they opened.
func (h *History) endAll(at time.Time, closed []event.Opening, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	whatever := map[key]bool{} // they opened
	for _, o := range closed {
		if k := keyOfEvent(&o); k.what != "" {
			h.finish(k, at, why)
		} else {
			whatever[k] = true
		}
	}
	for k := range h.open {
		if whatever[key{k.door, k.who, ""}] && k.what != "" {
			h.finish(k, at, why)
		}
	}
}

// finish ends the oldest visit of a key. The lock is held.
func (h *History) finish(k key, at time.Time, why string) {
	if len(h.open[k]) == 0 || h.closed {
		return
	}
	e := h.open[k][0]
	h.leaveOpen(e)
	e.Closed, e.Why = rounded(at), why
	h.grow(e, len(appendVisit(nil, e)))
	h.write(appendEnd(nil, e))
	h.trim()
}

// Reconcile ends the visits that last though nothing is open for them, after an
// earlier run of knockd: these are open.
func (h *History) Reconcile(held []knock.Opening) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reconciled = true
	count := map[key]int{}
	for i := range held {
		o := &held[i]
		k := keyOf(o.Door, o.For(), o.What)
		if len(h.open[k]) == 0 {
			k.what = "" // it runs a command
		}
		count[k]++
	}
	for k, visits := range h.open {
		for range len(visits) - count[k] {
			h.finish(k, time.Time{}, whyLost)
		}
	}
}

// pageLength is how many visits are looked at at a time: nobody waits longer.
const pageLength = 500

// Visits returns the visits of a query, the newest first, page by page. What
// happens between two pages is not in them.
func (h *History) Visits(q Query) iter.Seq[[]Visit] {
	return func(yield func([]Visit) bool) {
		for below := ^uint64(0); ; {
			var page []Visit
			if page, below = h.page(&q, below); len(page) > 0 && !yield(page) || below == 0 {
				return
			}
		}
	}
}

// trim makes room. The lock is held.
func (h *History) trim() { h.trimTo(h.set.Octets / 2) }

// forget takes out what is too old. The lock is held.
func (h *History) forget(now time.Time) (any bool) { return h.forgetBefore(now.Add(-h.set.Age)) }

// page returns those that a query takes of the next visits with a number below,
// and the least of these numbers; 0 if there are no more.
func (h *History) page(q *Query, below uint64) (page []Visit, least uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(h.now())
	looked := 0
	for at := h.visits.Back(); at != nil; at = at.Prev() {
		e := at.Value.(*entry)
		if e.n >= below {
			continue
		}
		if q.takes(&e.Visit) {
			page = append(page, e.Visit)
		}
		if looked++; looked == pageLength {
			return page, e.n
		}
	}
	return page, 0
}
