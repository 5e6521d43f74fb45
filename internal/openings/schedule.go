package openings

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// Bounds of what is done at once, for all doors together. They are generous
// for people and final for floods. Of each one door has at most half.
const (
	MaxWaiting = 20_000 // openings held; a further one is refused
	MaxRunning = 128    // start commands side by side, and as many stop commands
)

// state is where an opening stands.
type state uint8

const (
	queued   state = iota + 1 // its start command waits for a worker
	starting                  // its start command runs
	open                      // waits for its time to close
	closing                   // its stop command waits for a worker
	stopping                  // its stop command runs
	pausing                   // its stop command failed and waits to be tried again
	delayed                   // its start command could not be run and waits to be tried again
	ended
)

// entry is an opening on its way.
type entry struct {
	knock.Opening
	id    uint64 // counts up; also its name in the journal
	state state
	waits bool      // in the line of its door for a worker
	place int       // in the timers, while open, pausing or delayed
	due   time.Time // when its command is to run, while open, pausing or delayed
	why   string    // why it closes before its time; empty: it does not
	tries tries     // of its stop command
	// delays is the tries of its start command that came to nothing.
	delays tries
	// mayHaveRun: a daemon before us may have run the stop command already.
	// Then it runs once, and its status says nothing.
	mayHaveRun bool
	// survivor is a process group of a daemon before us that still runs this
	// opening's start or stop command; 0: none.
	survivor   int
	before     *entry // the native opening that this one replaces
	after      *entry // the native opening that waits until this one is closed
	prev, next *entry // for the same address or network
}

// action is something for the outside to do.
type action struct {
	do    deed
	event event.Event // of say
	entry *entry      // of the others
}

type deed uint8

const (
	say   deed = iota + 1 // write an event to the log
	start                 // run the start command, then call started
	stop                  // run the stop command, then call stopped
	end                   // the opening is over
)

// schedule decides what happens to openings and when. It is a plain value:
// time and results go in, actions come out, and both the running daemon and
// the reading of a capture file carry them out.
type schedule struct {
	lastID   uint64
	held     map[uint64]*entry    // all that have not ended
	places   shares               // that they have
	byAddr   map[netip.Addr]int   // how many of them each knocker has
	knockers knockers             // and whom they are for
	natives  map[nativeKey]*entry // the last opening of each
	commands lane
	kernel   lane // native openings: no command holds them up
	timers   timers
	draining bool // shutting down: nothing new, and failed stops hurry
	actions  []action
}

// newSchedule returns a schedule without openings that runs so many start
// commands side by side, and as many stop commands.
func newSchedule(workers int) *schedule {
	return &schedule{
		held:     map[uint64]*entry{},
		places:   newShares(MaxWaiting),
		byAddr:   map[netip.Addr]int{},
		knockers: newKnockers(),
		natives:  map[nativeKey]*entry{},
		commands: newLane(workers),
		kernel:   newLane(workers),
	}
}

// lane is the workers of one kind of opening.
type lane struct {
	starts, stops pool
}

func newLane(workers int) lane { return lane{starts: newPool(workers), stops: newPool(workers)} }

func (s *schedule) lane(e *entry) *lane {
	if !byCommand(&e.Opening) {
		return &s.kernel
	}
	return &s.commands
}

// full reports whether a further opening is refused. One that goes on with
// another, or is over at once, needs no place.
func (s *schedule) full(o *knock.Opening) bool {
	if empty(o) || !byCommand(o) && s.natives[keyOf(o)] != nil {
		return false
	}
	return !s.places.admits(s.places.has(o.Door))
}

// open begins an opening, and says so if it has to wait.
func (s *schedule) open(o knock.Opening) {
	if empty(&o) || s.draining {
		return
	}
	e := s.hold(o)
	e.state = queued
	if byCommand(&o) {
		s.queue(e)
	} else {
		s.replaceNative(e)
	}
	s.work()
	if e.waits {
		s.announceWait(e)
	}
}

func (s *schedule) hold(o knock.Opening) *entry {
	s.lastID++
	e := &entry{Opening: o, id: s.lastID}
	s.keep(e)
	return e
}

func (s *schedule) keep(e *entry) {
	s.held[e.id] = e
	s.places.take(e.Door)
	s.byAddr[e.Addr]++
	s.knockers.add(e)
}

func (s *schedule) release(e *entry) {
	if s.held[e.id] != e {
		return
	}
	delete(s.held, e.id)
	s.places.giveBack(e.Door)
	s.knockers.remove(e)
	if s.byAddr[e.Addr]--; s.byAddr[e.Addr] == 0 {
		delete(s.byAddr, e.Addr)
	}
}

// started takes how a start command ended. One that could not be run is tried
// again.
func (s *schedule) started(e *entry, r Result, now time.Time) {
	s.lane(e).starts.giveBack(e.Door)
	if pause, ok := s.delay(e, r, now); ok {
		s.wait(e, delayed, now.Add(pause))
	} else {
		s.opened(e, r, now)
	}
	s.tick(now)
}

// opened goes on with an opening whose start command is over. Its status does
// not matter for what follows, as in knockd 0.8: who has begun to open may have
// opened.
func (s *schedule) opened(e *entry, r Result, now time.Time) {
	s.reportStart(e, r)
	switch {
	case e.after != nil && e.after.state == queued:
		s.handOver(e, e.after)
	case !closes(&e.Opening), r.neverRan():
		s.end(e)
	case e.why != "":
		s.close(e)
	default:
		s.wait(e, open, now.Add(e.Timeout))
	}
}

// stopped takes how a stop command ended.
func (s *schedule) stopped(e *entry, r Result, now time.Time) {
	s.lane(e).stops.giveBack(e.Door)
	s.reportStop(e, r)
	if e.after != nil && e.after.state == queued {
		s.handOver(e, e.after)
	} else if r.ok() || e.mayHaveRun && r.Err == nil {
		s.end(e)
	} else if pause, ok := e.tries.again(r, now, s.draining); ok {
		s.wait(e, pausing, now.Add(pause))
	} else {
		s.giveUp(e, r)
		s.end(e)
	}
	s.tick(now)
}

// tick closes what is due at now, and opens what was delayed until now.
func (s *schedule) tick(now time.Time) {
	for len(s.timers) > 0 && !s.timers[0].due.After(now) {
		e := s.timers[0]
		s.timers.remove(e)
		if e.state == delayed {
			s.queue(e)
		} else {
			s.close(e)
		}
	}
	s.work()
}

// next is the time at which tick has something to do.
func (s *schedule) next() (time.Time, bool) {
	if len(s.timers) == 0 {
		return time.Time{}, false
	}
	return s.timers[0].due, true
}

// busy reports whether something runs or is about to.
func (s *schedule) busy() bool {
	return s.commands.starts.busy() || s.commands.stops.busy() || s.kernel.starts.busy() || s.kernel.stops.busy()
}

// halt makes sure that no further command begins.
func (s *schedule) halt() {
	for _, l := range []*lane{&s.commands, &s.kernel} {
		l.starts.limit, l.stops.limit = 0, 0
	}
}

// those are the openings held that match, the oldest first.
func (s *schedule) those(match func(*entry) bool) (some []*entry) {
	for _, e := range s.held {
		if match(e) {
			some = append(some, e)
		}
	}
	return inOrder(some)
}

// inOrder sorts openings, the oldest first.
func inOrder(some []*entry) []*entry {
	slices.SortFunc(some, func(a, b *entry) int { return cmp.Compare(a.id, b.id) })
	return some
}

func (s *schedule) wait(e *entry, st state, until time.Time) {
	e.state, e.due = st, until
	s.timers.add(e)
}

func (s *schedule) queue(e *entry) {
	e.state = queued
	s.lane(e).starts.add(e)
}

func (s *schedule) close(e *entry) {
	e.state = closing
	s.lane(e).stops.add(e)
}

// leave has an opening that waits do so no more.
func (s *schedule) leave(e *entry) {
	switch e.state {
	case queued:
		s.lane(e).starts.leave(e)
	case closing:
		s.lane(e).stops.leave(e)
	case open, pausing, delayed:
		s.timers.remove(e)
	}
}

// drop ends an opening that has not begun. If it was to go on with one that
// has, or if it may have begun, it closes.
func (s *schedule) drop(e *entry, why string) (ended bool) {
	s.leave(e)
	if e.before == nil && e.survivor == 0 && !e.mayBeOpen() {
		s.end(e)
		return true
	}
	e.why = why
	s.close(e)
	return false
}

func (s *schedule) end(e *entry) {
	e.state = ended
	s.release(e)
	if !byCommand(&e.Opening) && s.natives[keyOf(&e.Opening)] == e {
		delete(s.natives, keyOf(&e.Opening))
	}
	s.actions = append(s.actions, action{do: end, entry: e})
}

// work gives free workers to what waits.
func (s *schedule) work() {
	for _, l := range []*lane{&s.commands, &s.kernel} {
		for e := l.starts.next(queued); e != nil; e = l.starts.next(queued) {
			e.state = starting
			s.announceStart(e)
			s.actions = append(s.actions, action{do: start, entry: e})
		}
		for e := l.stops.next(closing); e != nil; e = l.stops.next(closing) {
			e.state = stopping
			s.announceStop(e)
			s.actions = append(s.actions, action{do: stop, entry: e})
		}
	}
}

// take hands the actions over, in the order in which they are to be done.
func (s *schedule) take() []action {
	a := s.actions
	s.actions = nil
	return a
}
