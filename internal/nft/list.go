package nft

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"

	"knockd/internal/knock"
)

// present is an element that is in the kernel.
type present struct {
	target  *target
	until   time.Time
	comment string
}

// present lists the elements of all sets of some doors.
func (f *Firewall) present(doors map[kernelName]*spec) (map[setKey]present, error) {
	now := f.now()
	have := map[setKey]present{}
	seen := map[knock.SetName]bool{}
	for _, s := range doors {
		for _, t := range s.targets() {
			name := knock.SetName{Table: t.table, Name: t.name}
			if seen[name] {
				continue
			}
			seen[name] = true
			elements, err := listSet(f.k, t.nf())
			if missing(err) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("list set %s: %w", name, reason(err))
			}
			for _, e := range elements {
				have[setKey{name, string(e.Key)}] = present{t, t.until(e, now), e.Comment}
			}
		}
	}
	return have, nil
}

// listSet lists a set's elements. While the kernel enlarges a hash table after
// many additions, a listing may lack some (nft_set_hash.c, nft_rhash_walk);
// so a set of some size is listed until that brings nothing more.
func listSet(k kernel, set *nftables.Set) ([]nftables.SetElement, error) {
	const small, tries = 64, 5
	elements, err := k.elements(set)
	if err != nil || len(elements) < small || set.Interval {
		return elements, err
	}
	known := map[string]bool{}
	for _, e := range elements {
		known[string(e.Key)] = true
	}
	for range tries {
		again, err := k.elements(set)
		if err != nil {
			return nil, err
		}
		before := len(elements)
		for _, e := range again {
			if !known[string(e.Key)] {
				known[string(e.Key)] = true
				elements = append(elements, e)
			}
		}
		if len(elements) == before {
			break
		}
	}
	return elements, nil
}

// alive returns the end of an opening by what the kernel has of it.
func alive(have map[setKey]present, needs []setKey) (end time.Time, ok bool) {
	for _, e := range needs {
		if p, there := have[e]; there {
			end, ok = later(end, p.until), true
		}
	}
	return end, ok
}

// List returns the openings that are in the kernel now, in the order of
// doors and addresses.
func (f *Firewall) List() ([]Element, error) {
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
	var all []Element
	for k, end := range f.record.until {
		s := f.doors[k.id]
		_, needs := s.elements(k)
		if !end.After(now) {
			continue
		}
		if kernel, ok := alive(have, needs); ok {
			end = earlier(end, kernel)
		} else if gone, err := f.gone(s, k); err != nil {
			return nil, err
		} else if gone {
			continue
		}
		all = append(all, s.open(k, end, now))
	}
	slices.SortFunc(all, compareOpen)
	return all, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func compareOpen(a, b Element) int {
	return cmp.Or(cmp.Compare(a.Door.Name, b.Door.Name), cmp.Compare(a.Door.N, b.Door.N),
		a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Port, b.Port))
}

// gone reports whether the kernel has nothing of an opening that a listing
// lacked (see listSet).
func (f *Firewall) gone(s *spec, k openingKey) (bool, error) {
	t, needs := s.elements(k)
	for _, e := range needs {
		found, err := f.k.find(t.nf(), nftables.SetElement{Key: []byte(e.key)})
		if err != nil {
			return false, fmt.Errorf("look into set %s: %w", e.set, reason(err))
		}
		if len(found) > 0 {
			return false, nil
		}
	}
	return true, nil
}

// closedByOthers takes openings out of the record that the kernel no longer
// has, and returns those that had time left.
func (f *Firewall) closedByOthers() ([]Element, error) {
	have, err := f.present(f.doors)
	if err != nil {
		return nil, err
	}
	now := f.now()
	var closed []Element
	for k, end := range f.record.until {
		s := f.doors[k.id]
		_, needs := s.elements(k)
		if _, ok := alive(have, needs); ok {
			continue
		}
		// One that ends in this moment was ended by the kernel.
		if end.Sub(now) > 100*time.Millisecond {
			if gone, err := f.gone(s, k); err != nil {
				return closed, err
			} else if !gone {
				continue
			}
			closed = append(closed, s.open(k, end, now))
		}
		f.record.drop(k, needs)
	}
	slices.SortFunc(closed, compareOpen)
	return closed, nil
}
