package openings

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"knockd/internal/knock"
	"knockd/internal/openings/journal"
)

// wakeAtLeast bounds how late a door closes after the machine was suspended:
// timers do not count that time, the clock does.
const wakeAtLeast = 30 * time.Second

// Options is what a Manager needs.
type Options struct {
	Log Log
	// Actions are the ways to open and close, by Opening.Action.
	Actions map[string]Action
	// Journal remembers openings beyond the daemon's end; nil: nothing does.
	Journal Journal
	// Keep (OnStop = keep) leaves openings to the journal and the next daemon
	// when this one stops. Without a journal that can be relied on they close.
	Keep bool
	// Workers is how many start commands may run side by side, and as many
	// stop commands; 0, or more than that: MaxRunning.
	Workers int
	// Held is how many openings are held; 0, or more than that: MaxWaiting.
	Held int
	// Now is a clock that never jumps and counts suspend; nil: CLOCK_BOOTTIME.
	Now func() time.Time
}

// Manager keeps the openings of a running daemon. Its methods may be called
// from any goroutine; none of them waits for a command but Shutdown.
type Manager struct {
	o      Options
	starts context.Context // ended when running start commands have to end
	stops  context.Context
	// endStarts and endStops end them, with a cause.
	endStarts, endStops context.CancelCauseFunc

	workers sync.WaitGroup

	mu      sync.Mutex // over all that follows
	s       *schedule
	awaited []chan struct{} // closed after the next change
	timer   *time.Timer
	refused refusals
}

// New returns a Manager without openings.
func New(o Options) *Manager {
	if o.Now == nil {
		o.Now = journal.BootTime
	}
	if o.Workers == 0 {
		o.Workers = MaxRunning
	}
	if o.Held == 0 {
		o.Held = MaxWaiting
	}
	m := &Manager{o: o, refused: refusals{},
		s: newSchedule(o.Actions, min(o.Workers, MaxRunning), min(o.Held, MaxWaiting))}
	m.starts, m.endStarts = context.WithCancelCause(context.Background())
	m.stops, m.endStops = context.WithCancelCause(context.Background())
	m.timer = time.AfterFunc(time.Hour, func() { m.do(func() { m.s.tick(m.o.Now()) }) })
	m.timer.Stop()
	if j := o.Journal; j != nil {
		j.SetClock(o.Now)
		j.SetLog(o.Log.Event)
		m.s.lastID = j.LastID()
	}
	return m
}

// Open opens a door: it queues the start command. It returns false if too many
// openings are held already; then nothing happens but a line in the log, not
// one for each. So it does once Shutdown has begun, without a line. Announce
// (may be nil) is called before the start command begins: it is the place to
// log OPEN SESAME. It must be quick and must not call the Manager.
func (m *Manager) Open(o knock.Opening, announce func()) (opened bool) {
	m.do(func() {
		if m.refuse(&o) {
			return
		}
		if announce != nil {
			announce()
		}
		m.s.open(o)
		opened = true
	})
	return opened
}

// Close closes the openings that match before their time, each with its own
// stop command, and says why in the log. It returns how many there were.
// Match must be quick and must not call the Manager.
func (m *Manager) Close(match func(*knock.Opening) bool, why string) (n int) {
	m.do(func() { n = m.s.closeEarly(match, why) })
	return n
}

// CloseFor is Close for the openings that are for an address: its own, and those
// for the network that it is in. It does not look at others.
func (m *Manager) CloseFor(a netip.Addr, match func(*knock.Opening) bool, why string) (n int) {
	m.do(func() { n = m.s.closeFor(a, match, why) })
	return n
}

// Pending returns how many openings are held: from Open until the end of the
// stop command.
func (m *Manager) Pending() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.s.held)
}

// Holds reports whether a knocker has an opening that is held.
func (m *Manager) Holds(knocker netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.s.byAddr[knocker] > 0
}

// Pending is an opening that is held.
type Pending struct {
	knock.Opening
	// Closes is the time left until it closes; 0 while its start or stop
	// command waits or runs.
	Closes time.Duration
}

// Openings returns all that is held, the oldest first.
func (m *Manager) Openings() []Pending {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.o.Now()
	all := make([]Pending, 0, len(m.s.held))
	for _, e := range m.s.those(func(*entry) bool { return true }) {
		p := Pending{Opening: e.Opening}
		if e.state == open {
			p.Closes = max(e.due.Sub(now), 0)
		}
		all = append(all, p)
	}
	return all
}

// do changes the schedule and carries out what follows from it.
func (m *Manager) do(change func()) {
	m.mu.Lock()
	change()
	tasks := m.s.take()
	for _, t := range tasks {
		if t.do == start || t.do == stop {
			m.workers.Add(1) // here, so that Shutdown waits for it
		}
	}
	m.setTimer()
	awaited := m.awaited
	m.awaited = nil
	m.mu.Unlock()
	// Outside the lock, so that a slow log holds up only who writes it. What
	// belongs to one opening still happens in order: nothing more is decided
	// of it until its command has ended.
	for _, t := range tasks {
		m.perform(t)
	}
	for _, changed := range awaited {
		close(changed)
	}
}

func (m *Manager) setTimer() {
	m.timer.Stop()
	if next, ok := m.s.next(); ok {
		m.timer.Reset(min(max(next.Sub(m.o.Now()), 0), wakeAtLeast))
	}
}

func (m *Manager) perform(t task) {
	switch t.do {
	case say:
		m.o.Log.Event(t.event)
	case start:
		go m.runStart(t.entry)
	case stop:
		go m.runStop(t.entry)
	case end:
		m.ended(t.entry)
	}
}

func (m *Manager) runStart(e *entry) {
	defer m.workers.Done()
	m.recordStart(e)
	var r Result
	if e.process != 0 {
		r = m.awaitProcess(m.starts, e, e.Args.StartLimit)
	} else {
		r = m.open(e)
	}
	m.recordStarted(e, r)
	m.do(func() { m.s.started(e, r, m.o.Now()) })
}

func (m *Manager) runStop(e *entry) {
	defer m.workers.Done()
	if e.process != 0 {
		m.awaitProcess(m.stops, e, StopLimit)
	}
	if j := m.o.Journal; j != nil {
		j.Stopping(e.id)
	}
	r := m.close(e)
	if j := m.o.Journal; j != nil && !r.ok() && r.Err == nil && !e.mayHaveRun {
		j.Failed(e.id)
	}
	m.do(func() { m.s.stopped(e, r, m.o.Now()) })
}

// refuse reports whether an opening has to be refused. The lock is held.
func (m *Manager) refuse(o *knock.Opening) bool {
	if m.s.draining || !m.s.full(o) {
		return m.s.draining
	}
	if left, ok := m.refused.say(o.Door, m.o.Now()); ok {
		m.s.say(m.s.refusal(o, left))
	}
	return true
}

// refusals limits the lines about refused openings to one in ten seconds for
// each door.
type refusals map[knock.DoorID]*refusal

type refusal struct {
	said time.Time
	left int // lines left out since
}

// maxRefusals bounds the doors that are remembered, whatever reloads bring.
const maxRefusals = 1000

func (r refusals) say(door knock.DoorID, now time.Time) (left int, ok bool) {
	d := r[door]
	switch {
	case d == nil:
		if len(r) >= maxRefusals {
			clear(r)
		}
		d = &refusal{}
		r[door] = d
	case now.Sub(d.said) < 10*time.Second:
		d.left++
		return 0, false
	}
	left, d.left, d.said = d.left, 0, now
	return left, true
}
