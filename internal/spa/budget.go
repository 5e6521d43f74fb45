package spa

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// A packet with the form of a message costs a trial of every key that may have
// made it. What that may cost is bounded for the packets that arrived together,
// and not by a clock: the same packets lead to the same decisions.
const (
	// batchTrials is how many keys may be tried for a batch; that takes about
	// two milliseconds.
	batchTrials = 4096
	// savedTrials is how many may be tried if earlier batches have left some.
	savedTrials = 8 * batchTrials
	// behindTrials is batchTrials after more than maxFull batches in a row that
	// were as large as can be: packets come faster than they are read.
	behindTrials = batchTrials / 8
	maxFull      = 8
	// trialOctets are the octets of a packet for which a trial counts once more.
	trialOctets = 512
	// maxSources bounds for how many sources it is remembered what they cost.
	maxSources = 4096
)

// budget is what may be spent on trying keys, and who has spent it in vain.
type budget struct {
	left    int                // trials; less than 0 if more were taken
	full    int                // batches in a row that were as large as can be
	pressed bool               // the last batch was dear, and packets were dropped
	most    int                // what a packet can cost
	vain    map[netip.Addr]int // trials that led to nothing, by source, in batches that were too dear
	waiting []waiting          // the rest is here for its memory
	order   []*waiting
	flows   map[netip.AddrPort]int
	sources map[netip.Addr]int
	doors   map[int]int
}

// waiting is a packet whose keys are not tried yet.
type waiting struct {
	candidate
	source netip.Addr // who pays for it
	door   int        // the first that it may concern
	cost   int        // trials at most, 0 if it concerns no door
	turn   int        // the lower, the sooner
}

func newBudget(states []*keyState) budget {
	most := 0
	for _, s := range states {
		most += s.trial() * weight(MaxPayload)
	}
	return budget{left: savedTrials, most: most, vain: map[netip.Addr]int{},
		flows: map[netip.AddrPort]int{}, sources: map[netip.Addr]int{}, doors: map[int]int{}}
}

// weight returns how many trials one on a packet of so many octets counts for.
func weight(octets int) int { return 1 + octets/trialOctets }

// Begin begins a batch: so many packets, which arrived together, have come to
// where messages may arrive; full says that no larger batch can be. It reports
// whether they may cost more than the budget. Then they are for ExamineAll, else
// for Examine.
func (v *Verifier) Begin(packets int, full bool) (dear bool) {
	b := &v.budget
	trials := batchTrials
	if b.full++; !full {
		b.full = 0
	} else if b.full > maxFull {
		trials = behindTrials
	}
	b.left = min(max(b.left, -savedTrials)+trials, savedTrials)
	dear = packets*b.most > b.left
	b.pressed = b.pressed && dear
	return dear
}

// ExamineAll examines the packets of a dear batch as far as the budget lets, and
// calls decided with each of them and what Examine would say. It begins with
// those whose source has cost least so far. On those that are dropped no key is
// tried: they are Untried.
func (v *Verifier) ExamineAll(batch []Packet, now time.Time, decided func(*Packet, *Request, Verdict)) (dropped int) {
	b := &v.budget
	for i := range batch {
		c, more := v.look(batch[i], now)
		if more {
			if w := v.toWait(c); w.cost > 0 {
				b.waiting = append(b.waiting, w)
				continue
			}
		}
		decided(&batch[i], nil, c.verdict)
	}
	alone := len(b.waiting) == 1 && !b.pressed
	for i, w := range b.inTurn() {
		if w.cost > b.left && !alone && (i > 0 || !b.lends(w)) {
			dropped++
			w.verdict.Outcome = Untried
			decided(&w.Packet, nil, w.verdict)
			continue
		}
		before := b.left
		r := v.try(&w.candidate, now)
		b.charge(w.source, before-b.left, r != nil)
		if decided(&w.Packet, r, w.verdict); alone {
			b.left = before // there is no flood
		}
	}
	b.pressed = dropped > 0 && len(b.waiting) > 1
	clear(b.waiting) // the payloads are somebody else's
	b.waiting = b.waiting[:0]
	return dropped
}

// lends reports whether the first packet of a batch may take more than is left:
// if anything is, and its source has cost nothing in vain.
func (b *budget) lends(w *waiting) bool { return b.left > 0 && b.vain[w.source] == 0 }

// toWait returns a packet with what it may cost, and who pays.
func (v *Verifier) toWait(c candidate) waiting {
	a := v.acceptors(&c)
	w := waiting{candidate: c, source: v.doorIndex.payer(&c), cost: a.trials * weight(len(c.Payload))}
	if len(a.doors) > 0 {
		w.door = a.doors[0]
	}
	if !w.source.Is4() { // a whole network is one host's for the asking
		network, _ := w.source.Prefix(64)
		w.source = network.Addr()
	}
	return w
}

// inTurn returns the packets that wait in the order in which they are looked at:
// of each door, of each source at it and of each of the source's ports as many
// trials as of the others, less those that the source has had in vain.
func (b *budget) inTurn() []*waiting {
	b.order = b.order[:0]
	clear(b.flows)
	clear(b.sources)
	clear(b.doors)
	for i := range b.waiting {
		w := &b.waiting[i]
		b.order = append(b.order, w)
		b.sources[w.source] = b.vain[w.source]
	}
	takeTurns(b.order, b.flows, func(w *waiting) netip.AddrPort { return netip.AddrPortFrom(w.Src, w.SrcPort) })
	takeTurns(b.order, b.sources, func(w *waiting) netip.Addr { return w.source })
	takeTurns(b.order, b.doors, func(w *waiting) int { return w.door })
	return b.order
}

// takeTurns orders packets by what they cost together with those before them of
// the same flow, source or door; had is how much these have had already.
func takeTurns[K comparable](list []*waiting, had map[K]int, of func(*waiting) K) {
	for _, w := range list {
		k := of(w)
		had[k] += w.cost
		w.turn = had[k]
	}
	slices.SortStableFunc(list, func(a, b *waiting) int { return cmp.Compare(a.turn, b.turn) })
}

// charge has a source pay for trials, unless it has sent something of use: then
// all is forgiven.
func (b *budget) charge(source netip.Addr, trials int, use bool) {
	if use {
		delete(b.vain, source)
	} else if trials > 0 {
		b.vain[source] += trials
	}
	if len(b.vain) > maxSources {
		b.forget()
	}
}

// forget forgets the half of the sources that have spent least, and half of what
// the others have.
func (b *budget) forget() {
	all := slices.Sorted(maps.Values(b.vain))
	for source, trials := range b.vain {
		if trials <= all[len(all)/2] {
			delete(b.vain, source)
		} else {
			b.vain[source] = trials / 2
		}
	}
}
