package nft

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
)

// changed is called by the monitor when somebody else has changed rules that
// concern us; emptied, when sets were deleted with what was in them, and so
// what is missing in them is lost and not closed. It tries until the rules
// are as they should be.
func (f *Firewall) changed(m *monitor, emptied bool, who string) {
	var last string
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		notice, err := f.restore(m, emptied, who)
		if err == nil {
			if notice.Text != "" {
				f.notify(notice)
			}
			return
		}
		if err.Error() != last {
			last = err.Error()
			f.notify(Notice{Text: last + ": trying again"})
		}
		if !m.pause(wait) {
			return
		}
	}
}

// restore looks once, and says in a notice what it has found and done.
func (f *Firewall) restore(m *monitor, emptied bool, who string) (Notice, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.k == nil || f.monitor != m || len(f.doors) == 0 {
		return Notice{}, nil
	}
	if !f.opt.Mode.HasTable() {
		return f.restoreSets(emptied, who)
	}
	changed, err := f.repair(emptied)
	if err != nil {
		return Notice{}, err
	}
	n := Notice{}
	if n.Closed, err = f.closedByOthers(); err != nil {
		return n, err
	}
	if changed {
		n.Text = fmt.Sprintf("table %s was changed by %s: put back, with %d openings", f.opt.Table, who, len(f.record.until))
	} else if len(n.Closed) > 0 {
		n.Text = fmt.Sprintf("%d openings were closed by %s", len(n.Closed), who)
	}
	return n, nil
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
func keysOf(was *tableState) map[element]bool {
	have := map[element]bool{}
	for name, elements := range was.elements {
		set := SetName{Table{was.table.Family, was.table.Name}, name}
		for _, e := range elements {
			have[element{set, string(e.Key)}] = true
		}
	}
	return have
}

// restoreSets looks after the host's sets in mode set. They come and go with
// the host's rules: what a set has lost by being made anew is put back, what
// somebody has taken out stays out.
func (f *Firewall) restoreSets(emptied bool, who string) (Notice, error) {
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
		return Notice{}, err
	}
	var n Notice
	if emptied {
		back, err := f.putBack()
		if err != nil {
			return n, err
		}
		if back > 0 {
			n.Text = fmt.Sprintf("the sets of native doors were made anew by %s: put back %d openings", who, back)
		}
	}
	closed, err := f.closedByOthers()
	if n.Closed = closed; n.Text == "" && len(closed) > 0 {
		n.Text = fmt.Sprintf("%d openings were closed by %s", len(closed), who)
	}
	return n, err
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
