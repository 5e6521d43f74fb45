package openings

import (
	"context"
	"net/netip"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// Stage is how far an opening is that is held.
type Stage uint8

// The stages. What fails and is tried again stays in its stage.
const (
	Opening Stage = iota // its start command waits or runs
	Open
	Closing // its stop command waits or runs
)

// Held is an opening that is held, as those see it who ask.
type Held struct {
	knock.Opening
	ID    uint64 // grows from one to the next
	Stage Stage
	Left  time.Duration // until it closes, while it is Open
	Stays bool          // nothing of ours closes it
	Runs  bool          // it is open by a command
	Fault string        // why it may not be as its stage says; "": it is
}

func (e *entry) seen(now time.Time) Held {
	h := Held{Opening: e.Opening, ID: e.id, Stage: Closing, Stays: !e.closes(), Runs: e.traits.Runs}
	var last Result
	switch e.state {
	case queued, starting, delayed:
		h.Stage, last = Opening, e.delays.last
	case open:
		h.Stage, last, h.Left = Open, e.began, max(e.due.Sub(now), 0)
	case ended:
		if h.Stays {
			h.Stage = Open
		}
		last = e.began
	default:
		last = e.tries.last
	}
	if !last.ok() {
		h.Fault = event.Result(last).String()
	}
	return h
}

// Page looks at what is held with a number above another one, the oldest first,
// but not at more than so many: whoever opens a door waits for that. It returns
// those that match (nil: all do), and the last number that it saw; 0 if there is
// nothing above. Match must be quick and must not call the Manager.
func (m *Manager) Page(above uint64, most int, match func(*knock.Opening) bool) (page []Held, last uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.o.Now()
	for e := m.s.firstAbove(above); e != nil && most > 0; e = e.newer {
		if match == nil || match(&e.Opening) {
			page = append(page, e.seen(now))
		}
		most, last = most-1, e.id
	}
	return page, last
}

// Limit returns how many openings are held at once.
func (m *Manager) Limit() int { return m.s.places.limit }

// Counts returns how many openings each door has that are held, without those
// that have none.
func (m *Manager) Counts() map[knock.DoorID]int {
	type count struct {
		door knock.DoorID
		held int
	}
	m.mu.Lock()
	list := make([]count, 0, len(m.s.places.of))
	for door, share := range m.s.places.of {
		list = append(list, count{door, share.taken})
	}
	m.mu.Unlock()
	counts := make(map[knock.DoorID]int, len(list)) // which takes longer, and nobody waits for it
	for _, c := range list {
		if c.held > 0 {
			counts[c.door] = c.held
		}
	}
	return counts
}

// OpenByHand makes openings as Open does, all or as many as there is room for,
// and waits until each is open or has failed for once, or ctx is over. It returns
// those that were made. Announce is called before the first one begins.
func (m *Manager) OpenByHand(ctx context.Context, list []knock.Opening, announce func()) (made []Held) {
	var entries []*entry
	m.do(func() {
		for i := range list {
			if m.refuse(&list[i]) {
				return
			}
			if i == 0 {
				announce()
			}
			if e := m.s.open(list[i]); e != nil {
				entries = append(entries, e)
			}
		}
	})
	waits := func(e *entry) bool { return e.state == queued || e.state == starting }
	m.await(ctx, whileAny(entries, waits))
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.o.Now()
	for _, e := range entries {
		made = append(made, e.seen(now))
	}
	return made
}

// CloseByHand closes openings as CloseFor does, or without an address as Close,
// and waits until each is closed, or that has failed for once, or ctx is over. It
// returns how many there were and how many of them are not closed.
func (m *Manager) CloseByHand(ctx context.Context, a netip.Addr, match func(*knock.Opening) bool, why string) (n, left int) {
	var entries []*entry
	m.do(func() {
		if a.IsValid() {
			entries = m.s.closableFor(a, match)
		} else {
			entries = m.s.those(func(e *entry) bool { return e.closable() && match(&e.Opening) })
		}
		m.s.closeThese(entries, why)
	})
	waits := func(e *entry) bool { return e.state != ended && e.tries.first.IsZero() }
	m.await(ctx, whileAny(entries, waits))
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		if e.state != ended || !e.tries.last.ok() {
			left++
		}
	}
	return len(entries), left
}

// whileAny returns what reports whether none of some openings waits any more. An
// opening that does not wait must not do so again.
func whileAny(entries []*entry, waits func(*entry) bool) (done func() bool) {
	return func() bool {
		for len(entries) > 0 && !waits(entries[0]) {
			entries = entries[1:]
		}
		return len(entries) == 0
	}
}

// ordered is a list of openings, the oldest first.
type ordered struct{ oldest, newest *entry }

func (o *ordered) add(e *entry) {
	if e.older = o.newest; e.older != nil {
		e.older.newer = e
	} else {
		o.oldest = e
	}
	o.newest = e
}

func (o *ordered) remove(e *entry) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		o.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		o.newest = e.older
	}
	e.older, e.newer = nil, nil
}

// firstAbove returns the oldest opening with a number above another one.
func (s *schedule) firstAbove(id uint64) *entry {
	if e := s.held[id]; e != nil {
		return e.newer
	}
	e := s.order.oldest
	for e != nil && e.id <= id {
		e = e.newer
	}
	return e
}
