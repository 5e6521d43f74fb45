package knock

import (
	"net/netip"
	"time"
)

// DefaultMaxAttempts is how many attempts a Tracker holds at once if nothing
// else is asked for.
const DefaultMaxAttempts = 262144

// Tracker decides, packet by packet, what knockd 0.8 decides: which hits are
// steps of which sequence, which attempts fail or expire, which doors open.
// It is not safe for concurrent use. The times given to it must not decrease.
type Tracker struct {
	doors    []*Door
	queues   []int32 // of each door: its queue in attempts
	index    index
	local    map[netip.Addr]struct{}
	attempts *attempts
	repeats  *repeats
	epoch    time.Time // the first time seen
	events   []Event   // returned by the last call, reused by the next
	mine     []int32   // scratch for one hit
	stats    Stats
}

// Stats counts what a Tracker holds and has given up.
type Stats struct {
	Attempts int    // live now
	Evicted  uint64 // removed before their time, to make room
	Refused  uint64 // not started, because everyone else was further on
	Repeats  uint64 // hits ignored as repeats of one that took a step
}

// NewTracker returns a Tracker without doors that holds at most maxAttempts
// attempts at once (at least 1).
func NewTracker(maxAttempts int) *Tracker {
	return &Tracker{attempts: newAttempts(max(maxAttempts, 1)), repeats: newRepeats()}
}

// SetLocal says which addresses are the host's own: the destinations of doors
// without a target. Live attempts go on.
func (t *Tracker) SetLocal(addrs []netip.Addr) {
	local := make(map[netip.Addr]struct{}, len(addrs))
	for _, a := range addrs {
		local[a.Unmap().WithZone("")] = struct{}{}
	}
	t.local = local
}

// SetDoors replaces the doors, in file order. Attempts at a door that is in
// the old and the new list (the same pointer, not changed since) go on; all
// others end without an event.
func (t *Tracker) SetDoors(doors []*Door) {
	place := make(map[*Door]int32, len(doors))
	for i, d := range doors {
		place[d] = int32(i)
	}
	moved := make([]int32, len(t.doors))
	for i, d := range t.doors {
		moved[i] = none
		if n, ok := place[d]; ok {
			moved[i] = n
		}
	}
	t.attempts.moveDoors(moved)
	t.doors = append([]*Door(nil), doors...)
	timeouts := make([]time.Duration, len(doors))
	for i, d := range doors {
		timeouts[i] = d.Timeout
	}
	t.queues = t.attempts.setQueues(timeouts)
	t.index = newIndex(doors)
}

// Stats returns the counters.
func (t *Tracker) Stats() Stats {
	s := t.stats
	s.Attempts = t.attempts.count
	return s
}

// Observe takes one packet at the given time and returns what it decides,
// preceded by the expiries due by then. The result is valid until the next call.
func (t *Tracker) Observe(hit Hit, now time.Time) []Event {
	t.events = t.events[:0]
	at := t.clock(now)
	t.expire(at)
	step := t.index[hit.step().key()]
	if step == nil {
		return t.events
	}
	_, local := t.local[hit.Dst]
	s := sighting{Hit: &hit, at: at, local: local}
	doors := step.at(hit.Dst, local)
	if !doors.visible(&hit) {
		return t.events
	}
	if hit.Proto == TCP && t.repeats.known(&hit, at) {
		t.stats.Repeats++
		return t.events
	}
	s.src = t.attempts.sources.of(hit.Src)
	took, alive := t.advance(&s)
	if !alive {
		took = t.start(doors, &s)
	}
	if took && hit.Proto == TCP {
		t.repeats.remember(&hit, at)
	}
	return t.events
}

// sighting is a hit with what is found out about it once.
type sighting struct {
	*Hit
	src   source
	at    int64 // nanoseconds since the tracker's epoch
	local bool  // the destination is an address of the host
}

// wentTo says whether the hit went to the destination that a door watches.
func (s *sighting) wentTo(target netip.Addr) bool {
	if target.IsValid() {
		return target == s.Dst
	}
	return s.local
}

// Expire ends the attempts whose time has passed and returns their expiries.
// The result is valid until the next call.
func (t *Tracker) Expire(now time.Time) []Event {
	t.events = t.events[:0]
	t.expire(t.clock(now))
	return t.events
}

// Next returns when the next attempt expires, if there is one.
func (t *Tracker) Next() (time.Time, bool) {
	i, deadline := t.attempts.first()
	if i == none {
		return time.Time{}, false
	}
	return t.epoch.Add(time.Duration(deadline)), true
}

// clock turns a time into nanoseconds since the epoch.
func (t *Tracker) clock(now time.Time) int64 {
	if t.epoch.IsZero() {
		t.epoch = now
	}
	return int64(now.Sub(t.epoch))
}

// advance shows the hit to every live attempt of its source at this
// destination. It says whether one of them took a step, and whether there was
// one at all: then no new attempt starts.
func (t *Tracker) advance(s *sighting) (took, alive bool) {
	t.mine = t.attempts.of(&s.src, t.mine[:0])
	for _, i := range t.mine {
		a := t.attempts.at(i)
		d := t.doors[a.door]
		if !s.wentTo(d.Target) {
			continue
		}
		alive = true
		switch {
		case !s.satisfies(d.Flags):
		case d.Sequence[a.stage] == s.step():
			took = true
			t.step(i, d, s.Hit)
		default:
			t.attempts.remove(i)
		}
	}
	return took, alive
}

// step moves an attempt on by one stage, or through the door.
func (t *Tracker) step(i int32, d *Door, h *Hit) {
	a := t.attempts.at(i)
	stage := int(a.stage) + 1
	t.report(d, h, stage)
	if stage == len(d.Sequence) {
		t.attempts.remove(i)
		return
	}
	t.attempts.advance(i)
}

// start begins an attempt at every door whose first step the hit is.
func (t *Tracker) start(doors concerned, s *sighting) (took bool) {
	doors.each(func(n int32) {
		d := t.doors[n]
		if !s.satisfies(d.Flags) || len(d.Sequence) > 1 && !t.remember(s, n) {
			return
		}
		took = true
		t.report(d, s.Hit, 1)
	})
	return took
}

// remember enters a new attempt into the table, if there is room for it.
func (t *Tracker) remember(s *sighting, door int32) bool {
	evicted, added := t.attempts.add(&s.src, door, t.queues[door], s.at)
	if evicted {
		t.stats.Evicted++
	}
	if !added {
		t.stats.Refused++
	}
	return added
}

// report says that the hit's source has reached a stage, and that the door
// opens if it was the last.
func (t *Tracker) report(d *Door, h *Hit, stage int) {
	e := Event{Kind: Stage, Door: d, Src: h.Src, Stage: stage, Hit: *h}
	t.events = append(t.events, e)
	if stage == len(d.Sequence) {
		e.Kind = Opened
		t.events = append(t.events, e)
	}
}

// expire reports and removes the attempts whose deadline has come.
func (t *Tracker) expire(now int64) {
	for t.attempts.due <= now {
		i, deadline := t.attempts.first()
		t.attempts.due = deadline
		if deadline > now {
			return
		}
		a := t.attempts.at(i)
		t.events = append(t.events, Event{
			Kind: Expired, Door: t.doors[a.door], Src: a.src.addr(), Stage: int(a.stage),
		})
		t.attempts.remove(i)
	}
}

// Local says whether an address is one of those given to SetLocal.
func (t *Tracker) Local(a netip.Addr) bool {
	_, ok := t.local[a]
	return ok
}
