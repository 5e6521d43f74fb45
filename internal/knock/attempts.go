package knock

import (
	"math"
	"time"
)

// none is the end of every list of attempts.
const none int32 = -1

// chunkSize is how many attempts the table's memory grows by.
const chunkSize = 4096

// attempt is a source's progress through one door's sequence. It holds no
// pointer, so that the garbage collector never scans the table, and is 64
// octets long, a cache line. The three pairs of links keep it in the ring of
// its source's attempts, in the queue of its timeout and in the list of its
// door.
//
// With the source's entry in the hash table an attempt takes 80 to 96 octets,
// of which the table's 16 to 32 are taken from the start.
type attempt struct {
	src     source
	stage   uint8
	oldest  bool   // of its source: the one that sources knows
	port    uint16 // hit at a step of port 0
	door    int32
	start   int64   // nanoseconds since the tracker's epoch
	srcLink link    // a ring, oldest first
	links   [2]link // byExpiry and byDoor
}

// Which of its two links keeps an attempt in a list.
const (
	byExpiry = iota
	byDoor
)

type link struct{ prev, next int32 }

// list is a doubly linked list of attempts, oldest first.
type list struct{ head, tail int32 }

var emptyList = list{none, none}

// expiryQueue holds the attempts of all doors with one seq_timeout; since
// time only advances, the first to start is the first to expire.
type expiryQueue struct {
	timeout time.Duration
	list    list
}

// attempts is the table of all live attempts: found by source, by the time
// they expire, and by door for eviction. All of it takes constant time, but for
// the doors' order: the logarithm of their number.
type attempts struct {
	sources sources
	limit   int
	count   int
	chunks  [][]attempt
	used    int32 // slots ever handed out
	free    int32 // head of the list of slots handed back, linked by srcLink.next
	queues  []expiryQueue
	queueOf []int32 // of each door: its queue
	due     int64   // no attempt expires before this time
	crowds  crowds
}

func newAttempts(limit int) *attempts {
	return &attempts{sources: newSources(limit), limit: limit, free: none, due: math.MaxInt64}
}

func (t *attempts) at(i int32) *attempt {
	return &t.chunks[uint32(i)/chunkSize][uint32(i)%chunkSize]
}

// oldestOf returns the oldest attempt of a source, or none.
func (t *attempts) oldestOf(src *source) int32 {
	s := &t.sources
	for p := src.hash & s.mask; s.entries[p].slot != 0; p = (p + 1) & s.mask {
		if e := s.entries[p]; e.hash == src.hash && t.at(e.slot-1).src == *src {
			return e.slot - 1
		}
	}
	return none
}

// of appends the attempts of a source to buf, oldest first.
func (t *attempts) of(src *source, buf []int32) []int32 {
	first := t.oldestOf(src)
	if first == none {
		return buf
	}
	buf = append(buf, first)
	for i := t.at(first).srcLink.next; i != first; i = t.at(i).srcLink.next {
		buf = append(buf, i)
	}
	return buf
}

// add puts an attempt into the table. When the table is full, the oldest
// attempt of the door that has most makes room, however far it is: so whatever
// one door has, another finds room. It returns the door that gave one up, or
// none.
func (t *attempts) add(a attempt) (poorer int32) {
	poorer = none
	if t.count >= t.limit {
		i := t.poorest(a.door)
		poorer = t.at(i).door
		t.unhook(i)
	}
	i := t.alloc()
	*t.at(i) = a
	t.join(i)
	t.push(&t.queueFor(i).list, i, byExpiry)
	t.push(&t.crowds.doors[a.door].list, i, byDoor)
	t.due = min(t.due, t.deadline(i))
	if poorer != a.door { // else that door has as many as before
		t.crowds.grow(a.door)
		if poorer != none {
			t.crowds.shrink(poorer)
		}
	}
	t.count++
	return poorer
}

// poorest returns the attempt that makes room for one more at a door.
func (t *attempts) poorest(door int32) int32 { return t.crowds.doors[t.crowds.fullest(door)].list.head }

// join makes an attempt the newest of its source.
func (t *attempts) join(i int32) {
	a := t.at(i)
	first := t.oldestOf(&a.src)
	if first == none {
		a.oldest = true
		a.srcLink = link{i, i}
		t.sources.add(a.src.hash, i)
		return
	}
	last := t.at(first).srcLink.prev
	a.srcLink = link{last, first}
	t.at(last).srcLink.next = i
	t.at(first).srcLink.prev = i
}

// leave takes an attempt out of the ring of its source.
func (t *attempts) leave(i int32) {
	a := t.at(i)
	next := a.srcLink.next
	if a.oldest {
		p := t.sources.place(a.src.hash, i)
		if next == i {
			t.sources.remove(p)
			return
		}
		t.sources.entries[p].slot = next + 1
		t.at(next).oldest = true
	}
	t.at(a.srcLink.prev).srcLink.next = next
	t.at(next).srcLink.prev = a.srcLink.prev
}

// remove takes an attempt out of the table.
func (t *attempts) remove(i int32) {
	door := t.at(i).door
	t.unhook(i)
	t.crowds.shrink(door)
}

// unhook is remove but for the count of the attempt's door.
func (t *attempts) unhook(i int32) {
	a := t.at(i)
	t.leave(i)
	t.unlink(&t.queueFor(i).list, i, byExpiry)
	t.unlink(&t.crowds.doors[a.door].list, i, byDoor)
	*a = attempt{srcLink: link{none, t.free}}
	t.free = i
	t.count--
}

// queueFor returns the queue that an attempt is in.
func (t *attempts) queueFor(i int32) *expiryQueue { return &t.queues[t.queueOf[t.at(i).door]] }

// setQueues makes one queue for each of the doors' timeouts. Attempts with
// another timeout must be gone by then: their queues are used again.
func (t *attempts) setQueues(timeouts []time.Duration) {
	queueWith := make(map[time.Duration]int32, len(timeouts))
	for _, d := range timeouts {
		queueWith[d] = none
	}
	var unused []int32
	for q := range t.queues {
		if _, ok := queueWith[t.queues[q].timeout]; ok {
			queueWith[t.queues[q].timeout] = int32(q)
		} else {
			unused = append(unused, int32(q))
		}
	}
	queues := make([]int32, len(timeouts))
	for i, d := range timeouts {
		if queueWith[d] == none {
			queueWith[d], unused = t.newQueue(d, unused)
		}
		queues[i] = queueWith[d]
	}
	t.queueOf = queues
}

// newQueue takes the last of the unused queues for a timeout, or makes one.
func (t *attempts) newQueue(timeout time.Duration, unused []int32) (q int32, rest []int32) {
	if n := len(unused); n > 0 {
		q, unused = unused[n-1], unused[:n-1]
		t.queues[q].timeout = timeout
		return q, unused
	}
	t.queues = append(t.queues, expiryQueue{timeout, emptyList})
	return int32(len(t.queues) - 1), unused
}

// first returns the attempt that expires first and when, in nanoseconds since
// the epoch. Without attempts it returns none.
func (t *attempts) first() (i int32, deadline int64) {
	i, deadline = none, math.MaxInt64
	for q := range t.queues {
		head := t.queues[q].list.head
		if head == none {
			continue
		}
		if d := t.deadline(head); d < deadline {
			i, deadline = head, d
		}
	}
	return i, deadline
}

// deadline returns when an attempt expires, in nanoseconds since the epoch.
func (t *attempts) deadline(i int32) int64 {
	a := t.at(i)
	timeout := int64(t.queueFor(i).timeout)
	if a.start > math.MaxInt64-timeout {
		return math.MaxInt64
	}
	return a.start + timeout
}

func (t *attempts) alloc() int32 {
	if i := t.free; i != none {
		t.free = t.at(i).srcLink.next
		return i
	}
	if int(t.used) == len(t.chunks)*chunkSize {
		t.chunks = append(t.chunks, make([]attempt, chunkSize))
	}
	t.used++
	return t.used - 1
}

// push appends an attempt to a list by one of its links.
func (t *attempts) push(l *list, i int32, by int) {
	t.at(i).links[by] = link{l.tail, none}
	if l.tail == none {
		l.head = i
	} else {
		t.at(l.tail).links[by].next = i
	}
	l.tail = i
}

// unlink takes an attempt out of a list.
func (t *attempts) unlink(l *list, i int32, by int) {
	at := t.at(i).links[by]
	if at.prev == none {
		l.head = at.next
	} else {
		t.at(at.prev).links[by].next = at.next
	}
	if at.next == none {
		l.tail = at.prev
	} else {
		t.at(at.next).links[by].prev = at.prev
	}
}

// moveDoors renumbers the doors, which are n then: moved[old] is the new
// number, or none if the door is gone, which ends its attempts. Until
// setQueues follows, nothing else may be done.
func (t *attempts) moveDoors(moved []int32, n int) {
	for q := range t.queues {
		for i := t.queues[q].list.head; i != none; {
			next := t.at(i).links[byExpiry].next
			if moved[t.at(i).door] == none {
				t.remove(i)
			}
			i = next
		}
	}
	t.crowds = newCrowds(n)
	for q := range t.queues {
		for i := t.queues[q].list.head; i != none; i = t.at(i).links[byExpiry].next {
			door := moved[t.at(i).door]
			t.at(i).door = door
			t.push(&t.crowds.doors[door].list, i, byDoor)
			t.crowds.grow(door)
		}
	}
}
