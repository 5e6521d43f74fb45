package openings

import (
	"cmp"
	"maps"
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
	action Action
	traits knock.Traits
	id     uint64 // counts up; also its name in the journal
	state  state
	waits  bool      // in the line of its door for a worker
	place  int       // in the timers, while open, pausing or delayed
	due    time.Time // when its command is to run, while open, pausing or delayed
	why    string    // why it closes before its time; empty: it does not
	tries  tries     // of its stop command
	// delays is the tries of its start command that came to nothing.
	delays tries
	// mayHaveRun: a daemon before us may have run the stop command already.
	// Then it runs once, and its status says nothing.
	mayHaveRun bool
	// process is of a daemon before us and still opens or closes this one; 0: none.
	process    int
	before     *entry // the opening that this one replaces
	after      *entry // the opening that waits until this one is closed
	prev, next *entry // for the same address or network

	older, newer *entry    // of all that are held
	began        Result    // how its start command ended
	until        time.Time // it is not due before: an opening by hand that it replaces was not
}

// task is something for the outside to do.
type task struct {
	do    work
	event event.Event // of say
	entry *entry      // of the others
}

type work uint8

const (
	say   work = iota + 1 // write an event to the log
	start                 // open, then call started
	stop                  // close, then call stopped
	end                   // the opening is over
)

// schedule decides what happens to openings and when. It is a plain value:
// time and results go in, tasks come out, and both the running daemon and
// the reading of a capture file carry them out.
type schedule struct {
	lastID   uint64
	held     map[uint64]*entry  // all that have not ended
	order    ordered            // the same
	places   shares             // that they have
	byAddr   map[netip.Addr]int // how many of them each knocker has
	knockers knockers           // and who they are for
	actions  map[string]Action
	latest   map[identity]*entry // of those that replace each other
	crews    []*crew             // the last one is of all actions without workers of their own
	crewOf   map[string]*crew    // of actions that have their own
	timers   timers
	draining bool // shutting down: nothing new, and failed stops hurry
	tasks    []task
}

// newSchedule returns a schedule without openings that has so many doors opened
// side by side, and as many closed, by actions with workers of their own, and as
// many by all others, and holds so many openings.
func newSchedule(actions map[string]Action, workers, most int) *schedule {
	s := &schedule{
		held:     map[uint64]*entry{},
		places:   newShares(most),
		byAddr:   map[netip.Addr]int{},
		knockers: newKnockers(),
		actions:  actions,
		latest:   map[identity]*entry{},
		crewOf:   map[string]*crew{},
	}
	for _, name := range slices.Sorted(maps.Keys(actions)) {
		if actions[name].Traits().OwnWorkers {
			s.crewOf[name] = newCrew(workers)
			s.crews = append(s.crews, s.crewOf[name])
		}
	}
	s.crews = append(s.crews, newCrew(workers))
	return s
}

// crew is the workers of an action, or of several.
type crew struct {
	starts, stops pool
}

func newCrew(workers int) *crew { return &crew{starts: newPool(workers), stops: newPool(workers)} }

func (s *schedule) crew(e *entry) *crew {
	if c := s.crewOf[e.Action]; c != nil {
		return c
	}
	return s.crews[len(s.crews)-1]
}

// action returns what opens and closes an opening.
func (s *schedule) action(o *knock.Opening) Action {
	if a, ok := s.actions[o.Action]; ok {
		return a
	}
	return missing(o.Action)
}

// entry returns an opening that is not kept yet.
func (s *schedule) entry(o knock.Opening, id uint64) *entry {
	a := s.action(&o)
	return &entry{Opening: o, id: id, action: a, traits: a.Traits()}
}

// closes reports whether an opening by an action of these traits has to be closed
// by us.
func closes(o *knock.Opening, t knock.Traits) bool {
	if t.Runs {
		return o.Args.Stop != ""
	}
	return o.Timeout > 0
}

func (e *entry) closes() bool { return closes(&e.Opening, e.traits) }

// full reports whether a further opening is refused. One that goes on with
// another, or is over at once, needs no place.
func (s *schedule) full(o *knock.Opening) bool {
	if o.Action == "" || !s.action(o).Traits().Beside && s.latest[identityOf(o)] != nil {
		return false
	}
	return !s.places.admits(s.places.has(o.Door))
}

// open begins an opening, and says so if it has to wait. It returns nil if there
// is nothing to begin.
func (s *schedule) open(o knock.Opening) *entry {
	if o.Action == "" || s.draining {
		return nil
	}
	e := s.hold(o)
	e.state = queued
	if e.traits.Beside {
		s.queue(e)
	} else {
		e = s.replace(e)
	}
	s.work()
	if e.waits {
		s.announceWait(e)
	}
	return e
}

func (s *schedule) hold(o knock.Opening) *entry {
	s.lastID++
	e := s.entry(o, s.lastID)
	e.What = e.action.Text(&e.Opening)
	s.keep(e)
	return e
}

func (s *schedule) keep(e *entry) {
	s.held[e.id] = e
	s.order.add(e)
	s.places.take(e.Door)
	s.byAddr[e.Addr]++
	s.knockers.add(e)
}

func (s *schedule) release(e *entry) {
	if s.held[e.id] != e {
		return
	}
	delete(s.held, e.id)
	s.order.remove(e)
	s.places.giveBack(e.Door)
	s.knockers.remove(e)
	if s.byAddr[e.Addr]--; s.byAddr[e.Addr] == 0 {
		delete(s.byAddr, e.Addr)
	}
}

// started takes how a start command ended. One that could not be run is tried
// again.
func (s *schedule) started(e *entry, r Result, now time.Time) {
	s.crew(e).starts.giveBack(e.Door)
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
	e.began = r
	s.reportStart(e, r)
	switch {
	case e.after != nil && e.after.state == queued:
		s.handOver(e, e.after)
	case !e.closes(), r.neverRan():
		s.end(e)
	case e.why != "":
		s.close(e)
	default:
		due := now.Add(e.Timeout)
		if e.until.After(due) {
			due = e.until
		}
		s.wait(e, open, due)
	}
}

// stopped takes how a stop command ended.
func (s *schedule) stopped(e *entry, r Result, now time.Time) {
	s.crew(e).stops.giveBack(e.Door)
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

// next returns the time at which tick has something to do.
func (s *schedule) next() (time.Time, bool) {
	if len(s.timers) == 0 {
		return time.Time{}, false
	}
	return s.timers[0].due, true
}

// busy reports whether something runs or is about to.
func (s *schedule) busy() bool {
	return slices.ContainsFunc(s.crews, func(c *crew) bool { return c.starts.busy() || c.stops.busy() })
}

// halt makes sure that no further command begins.
func (s *schedule) halt() {
	for _, c := range s.crews {
		c.starts.limit, c.stops.limit = 0, 0
	}
}

// those returns the openings held that match, the oldest first.
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
	s.crew(e).starts.add(e)
}

func (s *schedule) close(e *entry) {
	e.state = closing
	s.crew(e).stops.add(e)
}

// leave has an opening that waits do so no more.
func (s *schedule) leave(e *entry) {
	switch e.state {
	case queued:
		s.crew(e).starts.leave(e)
	case closing:
		s.crew(e).stops.leave(e)
	case open, pausing, delayed:
		s.timers.remove(e)
	}
}

// drop ends an opening that has not begun. If it was to go on with one that
// has, or if it may have begun, it closes.
func (s *schedule) drop(e *entry, why string) (ended bool) {
	s.leave(e)
	if e.before == nil && e.process == 0 && !e.mayBeOpen() {
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
	if !e.traits.Beside && s.latest[identityOf(&e.Opening)] == e {
		delete(s.latest, identityOf(&e.Opening))
	}
	s.tasks = append(s.tasks, task{do: end, entry: e})
}

// work gives free workers to what waits.
func (s *schedule) work() {
	for _, c := range s.crews {
		for e := c.starts.next(queued); e != nil; e = c.starts.next(queued) {
			e.state = starting
			s.announceStart(e)
			s.tasks = append(s.tasks, task{do: start, entry: e})
		}
		for e := c.stops.next(closing); e != nil; e = c.stops.next(closing) {
			e.state = stopping
			s.announceStop(e)
			s.tasks = append(s.tasks, task{do: stop, entry: e})
		}
	}
}

// take hands the tasks over, in the order in which they are to be done.
func (s *schedule) take() []task {
	t := s.tasks
	s.tasks = nil
	return t
}
