package history

import (
	"container/heap"
	"container/list"
	"time"

	"knockd/internal/knock"
)

// memory is the visits that are remembered. The zero value is not ready; clear
// makes it so.
type memory struct {
	visits *list.List // of *entry, the oldest first
	doors  map[knock.DoorID]*door
	crowds crowds
	open   map[key][]*entry // those that last, the oldest first
	octets int64            // that all take in the file
	lastN  uint64
}

// entry is a visit in its place.
type entry struct {
	Visit
	n      uint64 // that the file knows it by, ascending
	octets int64
	place  *list.Element // of all
	mine   *list.Element // of its door's
}

// door is the visits at one door.
type door struct {
	visits *list.List
	octets int64
	place  int // in the heap
}

// clear takes all out.
func (m *memory) clear() {
	*m = memory{visits: list.New(), doors: map[knock.DoorID]*door{}, open: map[key][]*entry{}}
}

// insert takes an entry in as the newest.
func (m *memory) insert(e *entry) {
	m.lastN++
	e.n = m.lastN
	e.place = m.visits.PushBack(e)
	d := m.doors[e.Door]
	if d == nil {
		d = &door{visits: list.New()}
		m.doors[e.Door] = d
		heap.Push(&m.crowds, d)
	}
	e.mine = d.visits.PushBack(e)
	if e.Lasts() {
		k := keyOf(e.Door, e.For, e.What)
		m.open[k] = append(m.open[k], e)
	}
	m.octets += e.octets
	d.octets += e.octets
	heap.Fix(&m.crowds, d.place)
}

// grow says what an entry takes after a change.
func (m *memory) grow(e *entry, octets int) {
	more := int64(octets) - e.octets
	d := m.doors[e.Door]
	e.octets += more
	m.octets += more
	d.octets += more
	heap.Fix(&m.crowds, d.place)
}

func (m *memory) remove(e *entry) {
	if e.Lasts() {
		m.leaveOpen(e)
	}
	m.visits.Remove(e.place)
	m.octets -= e.octets
	d := m.doors[e.Door]
	d.visits.Remove(e.mine)
	d.octets -= e.octets
	if d.visits.Len() == 0 {
		heap.Remove(&m.crowds, d.place)
		delete(m.doors, e.Door)
	} else {
		heap.Fix(&m.crowds, d.place)
	}
}

// leaveOpen takes an entry out of those that last, of whose key it is the oldest.
func (m *memory) leaveOpen(e *entry) {
	k := keyOf(e.Door, e.For, e.What)
	if rest := m.open[k][1:]; len(rest) > 0 {
		m.open[k] = rest
	} else {
		delete(m.open, k)
	}
}

// trimTo has the door that takes most give up its oldest visits, until all take
// no more than so many octets.
func (m *memory) trimTo(octets int64) {
	for m.octets > octets && len(m.crowds) > 0 {
		m.remove(m.crowds[0].visits.Front().Value.(*entry))
	}
}

// forgetBefore takes out what is over and began before. It reports whether there
// was any.
func (m *memory) forgetBefore(oldest time.Time) (any bool) {
	var next *list.Element
	for at := m.visits.Front(); at != nil; at = next {
		next = at.Next()
		e := at.Value.(*entry)
		if !e.Opened.Before(oldest) {
			return any
		}
		if !e.Lasts() {
			m.remove(e)
			any = true
		}
	}
	return any
}

// crowds is a heap of doors: that whose visits take most is the first.
type crowds []*door

func (c crowds) Len() int           { return len(c) }
func (c crowds) Less(i, j int) bool { return c[i].octets > c[j].octets }
func (c crowds) Swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].place, c[j].place = i, j
}

// Push implements heap.Interface.
func (c *crowds) Push(x any) {
	d := x.(*door)
	d.place = len(*c)
	*c = append(*c, d)
}

// Pop implements heap.Interface.
func (c *crowds) Pop() any {
	old := *c
	d := old[len(old)-1]
	old[len(old)-1] = nil
	*c = old[:len(old)-1]
	return d
}
