package nft

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// changed is called by the monitor when somebody else has changed rules that
// concern us; emptied, when sets were deleted with what was in them, and so
// what is missing in them is lost and not closed. It tries until the rules
// are as they should be.
func (f *Firewall) changed(m *monitor, emptied bool, who string) {
	var last string
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		e, err := f.restore(m, emptied, who)
		if err == nil {
			if e != nil {
				f.notify(e)
			}
			return
		}
		if err.Error() != last {
			last = err.Error()
			f.notify(event.RestoreFailed{Err: err})
		}
		if !m.pause(wait) {
			return
		}
	}
}

// restore looks once, and returns what it has found and done; nil for nothing.
func (f *Firewall) restore(m *monitor, emptied bool, who string) (event.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.k == nil || f.monitor != m || len(f.doors) == 0 {
		return nil, nil
	}
	if !f.opt.Mode.HasTable() {
		return f.restoreSets(emptied, who)
	}
	changed, err := f.repair(emptied)
	if err != nil {
		return nil, err
	}
	closed, err := f.closedByOthers()
	if err != nil || !changed {
		return closedBy(who, closed), err
	}
	return event.Restored{Table: f.opt.Table.String(), By: who, Openings: len(f.record.until), Closed: described(closed)}, nil
}

// repair puts our table back as it should be, with all openings of the record
// that it lacks. If emptied is false, a set that still exists is right
// instead: what is no longer in it, somebody has closed.
func (f *Firewall) repair(emptied bool) (changed bool, err error) {
	now := f.now()
	_, changed, err = f.reconcile(f.model.doors, func(was *tableState) map[string][]nftables.SetElement {
		lost := map[string][]nftables.SetElement{}
		have := keysOf(was)
		for k, end := range f.record.until {
			s := f.doors[k.id]
			t, needs := s.elements(k)
			if !end.After(now) || was.sets[t.name] != nil && !emptied {
				continue
			}
			for _, e := range needs {
				if !have[e] {
					lost[t.name] = append(lost[t.name], k.element(e, left(end, now)))
				}
			}
		}
		return lost
	})
	if err != nil {
		return changed, fmt.Errorf("put back table %s: %w", f.opt.Table, err)
	}
	return changed, nil
}

// keysOf returns the elements that a table has.
func keysOf(was *tableState) map[setKey]bool {
	have := map[setKey]bool{}
	for name, elements := range was.elements {
		set := knock.SetName{Table: TableOf(was.table), Name: name}
		for _, e := range elements {
			have[setKey{set, string(e.Key)}] = true
		}
	}
	return have
}

// restoreSets looks after the host's sets in mode set. They come and go with
// the host's rules: what a set has lost by being made anew is put back, what
// somebody has taken out stays out.
func (f *Firewall) restoreSets(emptied bool, who string) (event.Event, error) {
	var faults []error
	for _, s := range f.doors {
		for _, t := range s.targets() {
			if err := f.checkSet(s, t); err != nil {
				faults = append(faults, fmt.Errorf("door %s: %w", s.Name, err))
			}
		}
	}
	f.reindex()
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	back := 0
	if emptied {
		var err error
		if back, err = f.putBack(); err != nil {
			return nil, err
		}
	}
	closed, err := f.closedByOthers()
	if err != nil || back == 0 {
		return closedBy(who, closed), err
	}
	return event.Restored{By: who, Openings: back, Closed: described(closed)}, nil
}

// closedBy returns the event of openings that somebody has closed, nil if there
// are none.
func closedBy(who string, closed []Element) event.Event {
	if len(closed) == 0 {
		return nil
	}
	return event.ClosedByOthers{By: who, Closed: described(closed)}
}

func described(list []Element) (out []event.Opening) {
	for _, e := range list {
		o := event.Opening{Door: e.Door, Knocker: event.Knocker{Addr: e.Addr}, For: e.Prefix.String(), Native: true}
		if e.Port != 0 {
			o.What = knock.Step{Proto: e.Proto, Port: e.Port}.Ports().String()
		}
		out = append(out, o)
	}
	return out
}

// reindex finds anew what openings need: a set may have come back with
// another key.
func (f *Firewall) reindex() {
	old := f.record
	f.record = newRecord()
	for k, end := range old.until {
		f.put(f.doors[k.id], k, end)
	}
}

// putBack adds what the host's sets lack of the openings in the record.
func (f *Firewall) putBack() (n int, err error) {
	have, err := f.present(f.doors)
	if err != nil {
		return 0, err
	}
	now := f.now()
	var lost []*request
	for k, end := range f.record.until {
		s := f.doors[k.id]
		t, needs := s.elements(k)
		if _, ok := alive(have, needs); !ok && end.After(now) {
			lost = append(lost, &request{spec: s, key: k, target: t, needs: needs, until: end, started: true})
		}
	}
	for chunk := range slices.Chunk(lost, maxBatch) {
		if err := f.send(chunk, now); err != nil {
			return 0, fmt.Errorf("put back openings: %w", reason(err))
		}
	}
	return len(lost), nil
}
