package explain

import (
	"net/netip"
	"slices"
	"time"

	"knockd/internal/knock"
)

// Join brings together packets that knockd has decided on and those that somebody
// else saw come to the host: of what knockd has not seen nothing else is known than
// that. Packets go on in the order of their times, a little later.
type Join struct {
	// Emit is called with each packet.
	Emit func(*Packet)
	// Unseen says what is known of a packet that only the other one saw: it may
	// add to it. It reports whether the packet is told of.
	Unseen func(*Packet) bool
	Missed uint64 // packets that were too many

	waiting []joining
	seen    map[identity]int     // of them, by the other side alone
	last    time.Time            // of what has gone on
	decided map[identity]decided // lately
	oldest  []identity           // of these
}

// joinPause is how long a packet waits for what the other side has of it, and
// maxJoining how many do.
const (
	joinPause  = time.Second
	maxJoining = 4096
)

// identity tells packets apart, as far as both sides know of them: knockd does not
// name a port of a sequence.
type identity struct {
	src, dst netip.Addr
	srcPort  uint16
	proto    knock.Protocol
	flags    knock.Flags
	seq      uint32
	length   int
}

func identityOf(h *knock.Hit) identity {
	return identity{h.Src, h.Dst, h.SrcPort, h.Proto, h.Flags, h.Seq, h.PayloadLen}
}

type joining struct {
	Packet
	seen bool // by the other side alone, so far
}

// decided is how often knockd has decided on a packet that the other side has not
// shown yet.
type decided struct {
	n  int
	at time.Time
}

// Decided takes a packet that knockd has decided on.
func (j *Join) Decided(p Packet) {
	id := identityOf(&p.Hit)
	for i := 0; j.seen[id] > 0 && i < len(j.waiting); i++ {
		w := &j.waiting[i]
		if w.seen && identityOf(&w.Hit) == id {
			port := w.Hit.DstPort // which we have seen ourselves
			w.Packet, w.seen = p, false
			w.Hit.DstPort = port
			j.unsee(id)
			return
		}
	}
	if j.decided == nil {
		j.decided = map[identity]decided{}
	}
	if len(j.oldest) < maxJoining {
		d := j.decided[id]
		j.decided[id] = decided{d.n + 1, p.At}
		j.oldest = append(j.oldest, id)
	}
	j.wait(joining{Packet: p})
}

// Seen takes a packet that came to the host.
func (j *Join) Seen(p Packet) {
	id := identityOf(&p.Hit)
	d := j.decided[id]
	if d.n == 0 {
		j.wait(joining{p, true})
		return
	}
	j.decided[id] = decided{d.n - 1, d.at}
	for i := range j.waiting {
		if w := &j.waiting[i]; !w.seen && w.Hit.DstPort == 0 && identityOf(&w.Hit) == id {
			w.Hit.DstPort = p.Hit.DstPort
			return
		}
	}
}

func (j *Join) wait(w joining) {
	if len(j.waiting) >= maxJoining {
		j.Missed++
		return
	}
	if w.seen {
		if j.seen == nil {
			j.seen = map[identity]int{}
		}
		j.seen[identityOf(&w.Hit)]++
	}
	i := len(j.waiting)
	for i > 0 && j.waiting[i-1].At.After(w.At) {
		i--
	}
	j.waiting = slices.Insert(j.waiting, i, w)
}

func (j *Join) unsee(id identity) {
	if j.seen[id]--; j.seen[id] == 0 {
		delete(j.seen, id)
	}
}

// Pass lets time pass: what has waited long enough goes on.
func (j *Join) Pass(now time.Time) { j.pass(now.Add(-joinPause)) }

// Close has all go on that waits.
func (j *Join) Close() {
	for len(j.waiting) > 0 {
		j.pass(j.waiting[len(j.waiting)-1].At)
	}
}

func (j *Join) pass(until time.Time) {
	n := 0
	for n < len(j.waiting) && !j.waiting[n].At.After(until) {
		w := &j.waiting[n]
		n++
		if w.At.Before(j.last) {
			w.At = j.last
		}
		j.last = w.At
		if w.seen {
			j.unsee(identityOf(&w.Hit))
			w.Verdicts = []knock.Verdict{{Outcome: knock.NoStep}}
			if !j.Unseen(&w.Packet) {
				continue
			}
		}
		j.Emit(&w.Packet)
	}
	j.waiting = slices.Delete(j.waiting, 0, n)
	n = 0
	for ; n < len(j.oldest); n++ {
		id := j.oldest[n]
		d, ok := j.decided[id]
		if ok && d.n > 0 && d.at.After(until.Add(-joinPause)) {
			break
		}
		delete(j.decided, id)
	}
	j.oldest = slices.Delete(j.oldest, 0, n)
}
