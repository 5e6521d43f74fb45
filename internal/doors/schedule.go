package doors

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Bounds of what is done at once. They are generous for people and final for
// floods.
const (
	MaxWaiting = 10_000 // openings held; a further one is refused
	MaxRunning = 64     // start commands side by side, and as many stop commands
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
	ended
)

// entry is an opening on its way.
type entry struct {
	Opening
	id    uint64 // counts up; also its name in the journal
	state state
	place int       // in the timers, while open or pausing
	due   time.Time // when its stop command is to run, while open or pausing
	why   string    // why it closes before its time; empty: it does not
	tries tries     // of its stop command
	// mayHaveRun: a daemon before us may have run the stop command already.
	// Then it runs once, and its status says nothing.
	mayHaveRun bool
	// survivor is a process group of a daemon before us that still runs this
	// opening's start or stop command; 0: none.
	survivor int
	before   *entry // the native opening that this one replaces
	after    *entry // the native opening that waits until this one is closed
}

// action is something for the outside to do.
type action struct {
	do    deed
	text  string // of say
	entry *entry // of the others
}

type deed uint8

const (
	say   deed = iota + 1 // write a line to the log
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
	byAddr   map[netip.Addr]int   // how many of them each knocker has
	natives  map[nativeKey]*entry // the last opening of each
	commands lane
	kernel   lane // native openings: no command holds them up
	timers   timers
	draining bool // shutting down: nothing new, and failed stops hurry
	actions  []action
}

func newSchedule() *schedule {
	return &schedule{
		held:     map[uint64]*entry{},
		byAddr:   map[netip.Addr]int{},
		natives:  map[nativeKey]*entry{},
		commands: newLane(),
		kernel:   newLane(),
	}
}

// lane is the workers of one kind of opening.
type lane struct {
	starts, stops pool
}

func newLane() lane {
	return lane{starts: pool{limit: MaxRunning}, stops: pool{limit: MaxRunning}}
}

func (s *schedule) lane(e *entry) *lane {
	if e.Kind != "" {
		return &s.kernel
	}
	return &s.commands
}

// full reports whether a further opening is refused.
func (s *schedule) full() bool { return len(s.held) >= MaxWaiting }

// open begins an opening. A stop command without a start command does nothing,
// as in knockd 0.8.
func (s *schedule) open(o Opening) {
	if o.Start == "" && o.Kind == "" || s.draining {
		return
	}
	e := s.hold(o)
	e.state = queued
	if o.Kind == "" {
		s.commands.starts.add(e)
	} else {
		s.replaceNative(e)
	}
	s.work()
}

func (s *schedule) hold(o Opening) *entry {
	s.lastID++
	e := &entry{Opening: o, id: s.lastID}
	s.keep(e)
	return e
}

func (s *schedule) keep(e *entry) {
	s.held[e.id] = e
	s.byAddr[e.Addr]++
}

func (s *schedule) release(e *entry) {
	if s.held[e.id] != e {
		return
	}
	delete(s.held, e.id)
	if s.byAddr[e.Addr]--; s.byAddr[e.Addr] == 0 {
		delete(s.byAddr, e.Addr)
	}
}

// started takes how a start command ended. Its status does not matter for what
// follows, as in knockd 0.8: who has begun to open may have opened.
func (s *schedule) started(e *entry, r Result, now time.Time) {
	s.lane(e).starts.running--
	s.reportStart(e, r)
	switch {
	case e.after != nil && e.after.state == queued:
		s.handOver(e, e.after)
	case !e.closes():
		s.end(e)
	case e.why != "":
		s.close(e)
	default:
		s.wait(e, open, now.Add(e.Timeout))
	}
	s.tick(now)
}

// stopped takes how a stop command ended.
func (s *schedule) stopped(e *entry, r Result, now time.Time) {
	s.lane(e).stops.running--
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

// tick closes what is due at now.
func (s *schedule) tick(now time.Time) {
	for len(s.timers) > 0 && !s.timers[0].due.After(now) {
		e := s.timers[0]
		s.timers.remove(e)
		s.close(e)
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

// closeEarly closes the openings that match at once, whatever their time, and
// returns how many. Those whose start command still waits are dropped; those
// whose start command runs are closed when it has ended.
func (s *schedule) closeEarly(match func(*Opening) bool, why string) (n int) {
	for _, e := range s.inOrder() {
		if !match(&e.Opening) {
			continue
		}
		switch e.state {
		case queued:
			s.drop(e, why)
		case starting:
			e.why = why
		case open:
			e.why = why
			s.timers.remove(e)
			s.close(e)
		default:
			continue
		}
		n++
	}
	s.work()
	return n
}

// drain begins the shutdown: starts that still wait are dropped and, unless
// openings are kept for the next daemon, everything else closes. It returns
// how many were dropped.
func (s *schedule) drain(keep bool, why string) (dropped int) {
	s.draining = true
	for _, e := range s.inOrder() {
		if e.state != queued {
			continue
		}
		if keep {
			s.forget(e) // what has begun of it is in the journal
		} else {
			s.drop(e, why)
		}
		dropped++
	}
	if keep {
		return dropped
	}
	for _, e := range s.inOrder() {
		if e.state == pausing {
			s.timers.remove(e)
			s.close(e)
		}
	}
	s.closeEarly(func(*Opening) bool { return true }, why)
	return dropped
}

// busy reports whether something runs or is about to.
func (l *lane) busy() bool {
	return l.starts.running+l.stops.running+len(l.starts.queue)+len(l.stops.queue) > 0
}

// busy reports whether something runs or is about to.
func (s *schedule) busy() bool {
	return s.commands.busy() || s.kernel.busy()
}

// halt makes sure that no further command begins.
func (s *schedule) halt() {
	for _, l := range []*lane{&s.commands, &s.kernel} {
		l.starts.limit, l.stops.limit = 0, 0
	}
}

// inOrder is all that is held, the oldest first.
func (s *schedule) inOrder() []*entry {
	all := make([]*entry, 0, len(s.held))
	for _, e := range s.held {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int { return cmp.Compare(a.id, b.id) })
	return all
}

func (s *schedule) wait(e *entry, st state, until time.Time) {
	e.state, e.due = st, until
	s.timers.add(e)
}

func (s *schedule) close(e *entry) {
	e.state = closing
	s.lane(e).stops.add(e)
}

// drop ends an opening that has not begun. If it was to go on with one that
// has, or if a daemon before us has begun it, it closes.
func (s *schedule) drop(e *entry, why string) {
	if e.before == nil && e.survivor == 0 {
		s.end(e)
		return
	}
	e.why = why
	s.close(e)
}

func (s *schedule) end(e *entry) {
	e.state = ended
	s.release(e)
	if e.Kind != "" && s.natives[e.key()] == e {
		delete(s.natives, e.key())
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
