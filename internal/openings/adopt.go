package openings

import (
	"context"
	"path/filepath"
	"strconv"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/openings/journal"
)

// Adopt takes over what the journal holds of daemons before this one: what is
// overdue closes at once, as does what was opened before the machine was
// started; the rest closes at its time. Call it once, before Open; without a
// journal it does nothing. It returns how many openings there were.
func (m *Manager) Adopt() int {
	j := m.o.Journal
	if j == nil {
		return 0
	}
	j.SetKeep(m.o.Keep)
	if n := j.Damaged(); n > 0 {
		m.o.Log.Event(event.JournalDamaged{File: j.Path(), Records: n})
	}
	found := j.Found()
	if len(found) > 0 {
		m.o.Log.Event(event.Adopted{Openings: len(found)})
	}
	alive := m.processes(found)
	m.do(func() {
		now := m.o.Now()
		for i := range found {
			m.s.adopt(&found[i], alive[found[i].ID], now)
		}
		m.s.tick(now)
	})
	return len(found)
}

// adopt takes over one opening of the journal.
func (s *schedule) adopt(f *journal.Opening, process int, now time.Time) {
	e := s.entry(f.Opening, f.ID)
	e.mayHaveRun, e.process = f.Stopping, process
	s.keep(e)
	if !e.traits.Beside {
		s.latest[identityOf(&e.Opening)] = e
	}
	switch {
	case !f.SameBoot:
		e.mayHaveRun, e.why = true, "opened before the machine was started"
		s.close(e)
	case f.Stopping:
		e.why = "its stop command was interrupted"
		s.close(e)
	case process != 0:
		s.queue(e)
	default:
		s.wait(e, open, now.Add(f.Remaining(now)))
	}
}

// recordStart writes down an opening before it begins.
func (m *Manager) recordStart(e *entry) {
	j := m.o.Journal
	if j == nil {
		return
	}
	if e.closes() && e.process == 0 {
		j.Begin(e.id, e.Opening)
	}
	if e.before != nil {
		j.Ended(e.before.id)
		e.before = nil
	}
}

// recordStarted writes down that an opening's start command has ended, or that
// nothing of it has run.
func (m *Manager) recordStarted(e *entry, r Result) {
	switch j := m.o.Journal; {
	case j == nil:
	case r.neverRan():
		j.Ended(e.id)
	default:
		j.Opened(e.id)
	}
}

// ended writes down that nothing is left to do for an opening.
func (m *Manager) ended(e *entry) {
	j := m.o.Journal
	if j == nil {
		return
	}
	j.Ended(e.id)
	if e.before != nil {
		j.Ended(e.before.id)
	}
}

// marked returns the opening with its mark, by which a later daemon finds what it
// runs.
func (m *Manager) marked(e *entry) *knock.Opening {
	o := e.Opening
	if j := m.o.Journal; j != nil {
		o.Mark = mark(j, e.id)
	}
	return &o
}

func mark(j Journal, id uint64) string {
	return filepath.Base(j.Path()) + ":" + strconv.FormatUint(id, 10)
}

// processes returns the programs that daemons before this one have left running
// for openings found in the journal, by opening. It looks only if one could run.
func (m *Manager) processes(found []journal.Opening) map[uint64]int {
	marks, ids := map[string][]string{}, map[string]uint64{}
	for i := range found {
		if o := &found[i]; o.Opened == 0 || o.Stopping {
			name := mark(m.o.Journal, o.ID)
			marks[o.Action], ids[name] = append(marks[o.Action], name), o.ID
		}
	}
	alive := map[uint64]int{}
	for action, names := range marks {
		if p, ok := m.o.Actions[action].(Processes); ok {
			for name, pid := range p.Running(names) {
				alive[ids[name]] = pid
			}
		}
	}
	return alive
}

// CloseAll runs the stop commands of everything the journal holds, all
// together within 60 s, whatever o.Keep says. It returns how many openings
// there were and how many of them could not be closed.
func CloseAll(ctx context.Context, j Journal, o Options) (found, left int) {
	o.Journal, o.Keep = j, j.Keep()
	m := New(o)
	found = m.Adopt()
	return found, m.shutdown(ctx, false, "all doors are being closed")
}
