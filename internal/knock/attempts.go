package knock

import (
	"hash/maphash"
	"math"
	"net/netip"
	"time"
)

// none is the end of every list of attempts.
const none int32 = -1

// chunkSize is how many attempts the table's memory grows by.
const chunkSize = 4096

// attempt is a source's progress through one door's sequence. It holds no
// pointer, so that the garbage collector never walks the table, and is 64
// octets long. The three pairs of links keep it in the chain of its source's
// hash, in the queue of its timeout and in the list of its stage.
type attempt struct {
	src        netip16
	start      int64 // nanoseconds since the tracker's epoch
	door       int32
	queue      int32 // index into attempts.queues
	srcLink    link
	expiryLink link
	stageLink  link
	stage      uint8
}

// netip16 is an address without pointers: netip.Addr.As16, with a mark that
// keeps IPv4 apart from the IPv6 address it would be mapped to.
type netip16 struct {
	octets [16]byte
	is4    bool
}

func toNetip16(a netip.Addr) netip16 { return netip16{a.As16(), a.Is4()} }

func (a netip16) addr() netip.Addr {
	addr := netip.AddrFrom16(a.octets)
	if a.is4 {
		return addr.Unmap()
	}
	return addr
}

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
// they expire, and by stage for eviction, each in constant time.
type attempts struct {
	seed    maphash.Seed
	limit   int
	count   int
	chunks  [][]attempt
	used    int32   // slots ever handed out
	free    int32   // head of the list of slots handed back, linked by srcLink.next
	buckets []int32 // newest attempt of each hash
	queues  []expiryQueue
	due     int64 // no attempt expires before this time
	stages  [MaxSteps + 1]list
}

func newAttempts(limit int) *attempts {
	size := 1
	for size < limit {
		size *= 2
	}
	t := &attempts{seed: maphash.MakeSeed(), limit: limit, free: none,
		due: math.MaxInt64, buckets: make([]int32, size)}
	for i := range t.buckets {
		t.buckets[i] = none
	}
	for i := range t.stages {
		t.stages[i] = emptyList
	}
	return t
}

func (t *attempts) at(i int32) *attempt {
	return &t.chunks[i/chunkSize][i%chunkSize]
}

func (t *attempts) bucket(src *netip16) *int32 {
	h := maphash.Bytes(t.seed, src.octets[:])
	return &t.buckets[h&uint64(len(t.buckets)-1)]
}

// of appends the attempts of a source to buf, oldest first.
func (t *attempts) of(src netip16, buf []int32) []int32 {
	for i := *t.bucket(&src); i != none; i = t.at(i).srcLink.next {
		if t.at(i).src == src {
			buf = append(buf, i)
		}
	}
	for l, r := 0, len(buf)-1; l < r; l, r = l+1, r-1 {
		buf[l], buf[r] = buf[r], buf[l]
	}
	return buf
}

// add puts a new attempt at stage 1 into the table. When the table is full
// the one that has been at the lowest stage for longest makes room, but never
// one that is further on: then nothing is added.
func (t *attempts) add(src netip16, door, queue int32, start int64) (evicted, added bool) {
	if t.count >= t.limit {
		if t.stages[1].head == none {
			return false, false
		}
		t.remove(t.stages[1].head)
		evicted = true
	}
	i := t.alloc()
	a := t.at(i)
	*a = attempt{src: src, start: start, door: door, queue: queue, stage: 1}
	b := t.bucket(&src)
	a.srcLink = link{none, *b}
	if *b != none {
		t.at(*b).srcLink.prev = i
	}
	*b = i
	t.push(&t.queues[queue].list, i, expiryLink)
	t.push(&t.stages[1], i, stageLink)
	t.due = min(t.due, start+int64(t.queues[queue].timeout))
	t.count++
	return evicted, true
}

// advance moves an attempt to its next stage.
func (t *attempts) advance(i int32) {
	a := t.at(i)
	t.unlink(&t.stages[a.stage], i, stageLink)
	a.stage++
	t.push(&t.stages[a.stage], i, stageLink)
}

// remove takes an attempt out of the table.
func (t *attempts) remove(i int32) {
	a := t.at(i)
	b := t.bucket(&a.src)
	if a.srcLink.prev == none {
		*b = a.srcLink.next
	} else {
		t.at(a.srcLink.prev).srcLink.next = a.srcLink.next
	}
	if a.srcLink.next != none {
		t.at(a.srcLink.next).srcLink.prev = a.srcLink.prev
	}
	t.unlink(&t.queues[a.queue].list, i, expiryLink)
	t.unlink(&t.stages[a.stage], i, stageLink)
	*a = attempt{srcLink: link{none, t.free}}
	t.free = i
	t.count--
}

// queueOf returns the index of the queue for a timeout, making it if needed.
func (t *attempts) queueOf(timeout time.Duration) int32 {
	for i := range t.queues {
		if t.queues[i].timeout == timeout {
			return int32(i)
		}
	}
	t.queues = append(t.queues, expiryQueue{timeout, emptyList})
	return int32(len(t.queues) - 1)
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
		if d := t.at(head).start + int64(t.queues[q].timeout); d < deadline {
			i, deadline = head, d
		}
	}
	return i, deadline
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

func expiryLink(a *attempt) *link { return &a.expiryLink }
func stageLink(a *attempt) *link  { return &a.stageLink }

// push appends an attempt to a list by the link that field selects.
func (t *attempts) push(l *list, i int32, field func(*attempt) *link) {
	*field(t.at(i)) = link{l.tail, none}
	if l.tail == none {
		l.head = i
	} else {
		field(t.at(l.tail)).next = i
	}
	l.tail = i
}

// unlink takes an attempt out of a list.
func (t *attempts) unlink(l *list, i int32, field func(*attempt) *link) {
	at := *field(t.at(i))
	if at.prev == none {
		l.head = at.next
	} else {
		field(t.at(at.prev)).next = at.next
	}
	if at.next == none {
		l.tail = at.prev
	} else {
		field(t.at(at.next)).prev = at.prev
	}
}

// moveDoors renumbers the doors: moved[old] is the new number, or none if
// the door is gone, which ends its attempts.
func (t *attempts) moveDoors(moved []int32) {
	for q := range t.queues {
		for i := t.queues[q].list.head; i != none; {
			a := t.at(i)
			next := a.expiryLink.next
			if a.door = moved[a.door]; a.door == none {
				t.remove(i)
			}
			i = next
		}
	}
}
