package openings

import (
	"context"
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
	alive := survivors(j, found)
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
func (s *schedule) adopt(f *journal.Opening, survivor int, now time.Time) {
	e := &entry{Opening: adopted(&f.Record), id: f.ID, mayHaveRun: f.Stopping, survivor: survivor}
	s.keep(e)
	if !byCommand(&e.Opening) {
		s.natives[keyOf(&e.Opening)] = e
	}
	switch {
	case !f.SameBoot:
		e.mayHaveRun, e.why = true, "opened before the machine was started"
		s.close(e)
	case f.Stopping:
		e.why = "its stop command was interrupted"
		s.close(e)
	case survivor != 0:
		s.queue(e)
	default:
		s.wait(e, open, now.Add(f.Remaining(now)))
	}
}

// record is what the journal keeps of an opening.
func record(o *knock.Opening) journal.Record {
	v := &o.Vars
	return journal.Record{
		Door: o.Door, Addr: o.Addr, Host: o.Host, Timeout: o.Timeout, Stop: o.Args.Stop,
		IP: v.IP, Port: v.Port, Proto: v.Proto, Client: v.Client, Src: v.Src, Dst: v.Dst,
		Kind: o.Action, What: o.What, Args: o.Args, UID: o.UID,
	}
}

// adopted is the opening of a record.
func adopted(r *journal.Record) knock.Opening {
	o := knock.Opening{
		Door: r.Door, Addr: r.Addr, Host: r.Host, Timeout: r.Timeout,
		Vars:   knock.Vars{IP: r.IP, Door: r.Door.Name, Port: r.Port, Proto: r.Proto, Client: r.Client, Src: r.Src, Dst: r.Dst},
		Action: r.Kind, What: r.What, Args: r.Args, UID: r.UID,
	}
	o.Args.Stop = r.Stop
	return o
}

// recordStart writes down an opening before it begins.
func (m *Manager) recordStart(e *entry) {
	j := m.o.Journal
	if j == nil {
		return
	}
	if closes(&e.Opening) && e.survivor == 0 {
		j.Begin(e.id, record(&e.Opening))
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

// environment is what the commands of an opening are told beside the daemon's
// own environment. KNOCK_OPENING lets a later daemon find them.
func (m *Manager) environment(e *entry) []string {
	env := e.Vars.Environment()
	if j := m.o.Journal; j != nil {
		env = append(env, marker(j, e.id))
	}
	return env
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
