package knock

import (
	"fmt"
	"net/netip"
)

// RepeatWindow and RepeatEntries are repeatWindow and repeatEntries.
const (
	RepeatWindow  = repeatWindow
	RepeatEntries = repeatEntries
)

// Check looks at everything a tracker holds and says what contradicts itself.
func (t *Tracker) Check() error {
	a := t.attempts
	if a.count > a.limit {
		return fmt.Errorf("%d attempts, cap %d", a.count, a.limit)
	}
	if len(a.chunks)*chunkSize >= a.limit+chunkSize {
		return fmt.Errorf("%d chunks for a cap of %d", len(a.chunks), a.limit)
	}
	for _, count := range []func() (int, error){t.checkCrowds, t.checkQueues, t.checkSources} {
		n, err := count()
		if err != nil {
			return err
		}
		if n != a.count {
			return fmt.Errorf("%d attempts found, %d counted", n, a.count)
		}
	}
	return nil
}

func (t *Tracker) checkCrowds() (n int, err error) {
	c := &t.attempts.crowds
	if len(c.doors) != len(t.doors) || len(c.heap) != len(t.doors) {
		return n, fmt.Errorf("%d crowds and %d places for %d doors", len(c.doors), len(c.heap), len(t.doors))
	}
	for place, door := range c.heap {
		d, above := &c.doors[door], &c.doors[c.heap[max(place-1, 0)/2]]
		if int(d.place) != place || above.rank < d.rank {
			return n, fmt.Errorf("a door with %d attempts at place %d, noted as %d, below one with %d", d.count(), place, d.place, above.count())
		}
		before, count := int64(-1), int32(0)
		for i := d.list.head; i != none; i = t.attempts.at(i).links[byDoor].next {
			a := t.attempts.at(i)
			if a.door != door || a.stage == 0 || int(a.stage) >= len(t.doors[door].Sequence) || a.start < before {
				return n, fmt.Errorf("an attempt at door %d, stage %d, begun at %d, behind one of door %d begun at %d", a.door, a.stage, a.start, door, before)
			}
			before = a.start
			count++
		}
		if count != d.count() || int(d.rank&(oneMore-1)) != len(t.doors)-int(door) {
			return n, fmt.Errorf("%d attempts at %s, %d counted, rank %x", count, t.doors[door].Name, d.count(), d.rank)
		}
		n += int(count)
	}
	return n, nil
}

func (t *Tracker) checkQueues() (n int, err error) {
	for q := range t.attempts.queues {
		before := int64(-1)
		for i := t.attempts.queues[q].list.head; i != none; i = t.attempts.at(i).links[byExpiry].next {
			a := t.attempts.at(i)
			if int(t.attempts.queueOf[a.door]) != q || t.attempts.queues[q].timeout != t.doors[a.door].Timeout {
				return n, fmt.Errorf("an attempt at %s in the queue for %v", t.doors[a.door].Name, t.attempts.queues[q].timeout)
			}
			if a.start < before {
				return n, fmt.Errorf("an attempt begun at %d behind one of %d", a.start, before)
			}
			if t.attempts.deadline(i) < t.attempts.due {
				return n, fmt.Errorf("an attempt due at %d, the next look at %d", t.attempts.deadline(i), t.attempts.due)
			}
			before = a.start
			n++
		}
	}
	return n, nil
}

func (t *Tracker) checkSources() (n int, err error) {
	a := t.attempts
	for _, e := range a.sources.entries {
		if e.slot == 0 {
			continue
		}
		first := e.slot - 1
		src := a.at(first).src
		if got := a.oldestOf(&src); got != first || !a.at(first).oldest {
			return n, fmt.Errorf("the oldest attempt of %v is %d, found %d", src.addr(), first, got)
		}
		for i := first; ; {
			next := a.at(i).srcLink.next
			if a.at(i).src != src || a.at(next).srcLink.prev != i || (i != first && a.at(i).oldest) {
				return n, fmt.Errorf("the ring of %v is broken", src.addr())
			}
			n++
			if i = next; i == first {
				break
			}
		}
	}
	return n, nil
}

// Timeouts returns how many queues the tracker keeps.
func (t *Tracker) Timeouts() int { return len(t.attempts.queues) }

// Bounds of what is remembered.
const (
	MaxCooldowns = maxCooldowns
	MaxFailures  = maxFailures
)

// Remembered returns how many addresses have a cooldown.
func (t *Tracker) Remembered() int { return len(t.cooldowns.addrs.until) }

// Failures returns how many failures are remembered, and of how many sources.
func (t *Tracker) Failures() (failures, sources int) {
	return t.failures.recent.len(), len(t.failures.tallies)
}

// Has says whether one of the prefixes contains an address.
func Has(prefixes []netip.Prefix, a netip.Addr) bool { return newNetworks(prefixes).has(a) }
