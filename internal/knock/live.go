package knock

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Attempt is an attempt in progress.
type Attempt struct {
	Door           *Door
	Src            netip.Addr
	Stage          int // 1 after the first step
	Began, Expires time.Time
}

// AttemptsOf returns the attempts of a source, the oldest first.
func (t *Tracker) AttemptsOf(src netip.Addr) (list []Attempt) {
	s := t.attempts.sources.of(src)
	for _, i := range t.attempts.of(&s, nil) {
		list = append(list, t.attempt(i))
	}
	return list
}

// Attempts returns attempts at a door, or with nil at all doors: the newest ones
// of each, at most so many in all, shared evenly between the doors that have some.
func (t *Tracker) Attempts(at *Door, most int) (list []Attempt) {
	var crowds []*crowd
	for i := range t.doors {
		if c := &t.attempts.crowds.doors[i]; c.count() > 0 && (at == nil || at == t.doors[i].Door) {
			crowds = append(crowds, c)
		}
	}
	slices.SortStableFunc(crowds, func(a, b *crowd) int { return cmp.Compare(a.count(), b.count()) })
	for n, c := range crowds {
		share := max((most-len(list))/(len(crowds)-n), 1)
		for i := c.list.tail; i != none && share > 0 && len(list) < most; i = t.attempts.at(i).links[byDoor].prev {
			list = append(list, t.attempt(i))
			share--
		}
	}
	return list
}

func (t *Tracker) attempt(i int32) Attempt {
	a := t.attempts.at(i)
	time := func(at int64) time.Time { return t.epoch.Add(time.Duration(at)) }
	return Attempt{
		Door: t.doors[a.door].Door, Src: a.src.addr(), Stage: int(a.stage),
		Began: time(a.start), Expires: time(t.attempts.deadline(i)),
	}
}

// FailedAt returns how many attempts at each door a hit has ended, without the
// doors that had none.
func (t *Tracker) FailedAt() map[DoorID]uint64 {
	counts := map[DoorID]uint64{}
	for i := range t.doors {
		if d := &t.doors[i]; d.failed > 0 {
			counts[d.ID()] = d.failed
		}
	}
	return counts
}
