package nft

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// present is an element that is in the kernel.
type present struct {
	target  *target
	until   time.Time
	comment string
}

// present lists the elements of all sets of some doors.
func (f *Firewall) present(doors map[doorID]*spec) (map[element]present, error) {
	now := f.now()
	have := map[element]present{}
	seen := map[SetName]bool{}
	for _, s := range doors {
		for _, t := range s.targets() {
			name := SetName{t.table, t.name}
			if seen[name] {
				continue
			}
			seen[name] = true
			elements, err := f.k.elements(t.nf())
			if missing(err) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("list set %s: %w", name, reason(err))
			}
			for _, e := range elements {
				have[element{name, string(e.Key)}] = present{t, t.until(e, now), e.Comment}
			}
		}
	}
	return have, nil
}

// alive returns the end of an opening by what the kernel has of it.
func alive(have map[element]present, needs []element) (end time.Time, ok bool) {
	for _, e := range needs {
		if p, there := have[e]; there {
			end, ok = later(end, p.until), true
		}
	}
	return end, ok
}

// List returns the openings that are in the kernel now, in the order of
// doors and addresses.
func (f *Firewall) List() ([]Open, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.k == nil {
		return nil, errClosed
	}
	have, err := f.present(f.doors)
	if err != nil {
		return nil, err
	}
	now := f.now()
	var all []Open
	for k, end := range f.holds.until {
		s := f.doors[k.id]
		_, needs := s.elements(k)
		if kernel, ok := alive(have, needs); ok && end.After(now) {
			if kernel.Before(end) {
				end = kernel
			}
			all = append(all, s.open(k, end, now))
		}
	}
	slices.SortFunc(all, compareOpen)
	return all, nil
}

func compareOpen(a, b Open) int {
	return cmp.Or(cmp.Compare(a.Door, b.Door), cmp.Compare(a.Nth, b.Nth),
		a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Port, b.Port))
}

// closedByOthers takes openings out of the book that the kernel no longer
// has, and returns those that had time left.
func (f *Firewall) closedByOthers() ([]Open, error) {
	have, err := f.present(f.doors)
	if err != nil {
		return nil, err
	}
	now := f.now()
	var closed []Open
	for k, end := range f.holds.until {
		s := f.doors[k.id]
		_, needs := s.elements(k)
		if _, ok := alive(have, needs); ok {
			continue
		}
		f.holds.drop(k, needs)
		// One that ends in this moment was ended by the kernel.
		if end.Sub(now) > 100*time.Millisecond {
			closed = append(closed, s.open(k, end, now))
		}
	}
	slices.SortFunc(closed, compareOpen)
	return closed, nil
}
