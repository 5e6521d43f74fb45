package openings

import (
	"cmp"
	"context"
	"slices"
	"time"

	"knockd/internal/event"
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
	j.setKeep(m.o.Keep)
	if j.damaged > 0 {
		m.o.Log.Event(event.JournalDamaged{File: j.file.Name(), Records: j.damaged})
	}
	found := j.found()
	if len(found) > 0 {
		m.o.Log.Event(event.Adopted{Openings: len(found)})
	}
	alive := survivors(j.name, found)
	m.do(func() {
		now := m.o.Now()
		for i := range found {
			m.s.adopt(&found[i], j.boot, alive[found[i].id], now)
		}
		m.s.tick(now)
	})
	return len(found)
}

// found is what the journal holds, the oldest first.
func (j *Journal) found() []saved {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]saved, 0, len(j.live))
	for _, s := range j.live {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b saved) int { return cmp.Compare(a.id, b.id) })
	return all
}

// adopt takes over one opening of the journal.
func (s *schedule) adopt(f *saved, boot string, survivor int, now time.Time) {
	e := &entry{Opening: *f.o, id: f.id, mayHaveRun: f.stopping, survivor: survivor}
	s.keep(e)
	if e.Kind != "" {
		s.natives[e.key()] = e
	}
	switch {
	case f.boot != boot || boot == "":
		e.mayHaveRun, e.why = true, "opened before the machine was started"
		s.close(e)
	case f.stopping:
		e.why = "its stop command was interrupted"
		s.close(e)
	case survivor != 0:
		s.queue(e)
	default:
		s.wait(e, open, now.Add(f.remaining(now)))
	}
}

// remaining is the time until s closes. It is never more than it was at first:
// a clock that went back (of a machine that was moved) keeps no door open.
func (s *saved) remaining(now time.Time) time.Duration {
	from := s.openAt
	if from == 0 { // its start command did not end by itself
		from = s.at
	}
	return min(time.Unix(0, from).Add(s.o.Timeout).Sub(now), s.o.Timeout)
}

// recordStart writes down an opening before it begins.
func (m *Manager) recordStart(e *entry) {
	j := m.o.Journal
	if j == nil {
		return
	}
	if e.closes() && e.survivor == 0 {
		j.opening(e.id, &e.Opening)
	}
	if e.before != nil {
		j.ended(e.before.id)
		e.before = nil
	}
}

// recordStarted writes down that an opening's start command has ended, or that
// nothing of it has run.
func (m *Manager) recordStarted(e *entry, r Result) {
	switch j := m.o.Journal; {
	case j == nil:
	case r.neverRan():
		j.ended(e.id)
	default:
		j.open(e.id)
	}
}

// ended writes down that nothing is left to do for an opening.
func (m *Manager) ended(e *entry) {
	j := m.o.Journal
	if j == nil {
		return
	}
	j.ended(e.id)
	if e.before != nil {
		j.ended(e.before.id)
	}
}

// environment is what the commands of an opening are told beside the daemon's
// own environment. KNOCK_OPENING lets a later daemon find them.
func (m *Manager) environment(e *entry) []string {
	env := e.Vars.environment()
	if j := m.o.Journal; j != nil {
		env = append(env, marker(j.name, e.id))
	}
	return env
}

// CloseAll runs the stop commands of everything the journal holds, all
// together within 60 s, whatever o.Keep says. It returns how many openings
// there were and how many of them could not be closed.
func CloseAll(ctx context.Context, j *Journal, o Options) (found, left int) {
	o.Journal, o.Keep = j, j.Keep()
	m := New(o)
	found = m.Adopt()
	return found, m.shutdown(ctx, false, "all doors are being closed")
}
