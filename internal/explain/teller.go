package explain

import (
	"container/heap"
	"net/netip"
	"slices"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// Options is what a Teller needs to know.
type Options struct {
	// Tell is called with each story when it is over, in the order of their ends.
	Tell func(*Story)

	Ports *Ports                     // nil: no port is known to be a secret
	Local func(netip.Addr) bool      // reports whether an address is the host's; nil: it is not known
	Opens func(knock.DoorID) Opening // what a door opens; nil: it is not known

	Source netip.Addr // whose packets are told of; the zero Addr: all who knock
	Door   string     // of which door, as its DoorID names it; "": of all
}

// Totals is what a Teller has seen.
type Totals struct {
	Packets    uint64 // all
	First      uint64 // first hits after which their source sent nothing more of use
	Others     uint64 // packets at no door's port, of which nothing is told
	Strays     uint64 // at a door's port, the same
	Mine       uint64 // of Options.Source
	Told       uint64 // stories
	Cut        uint64 // stories that made room for others
	Missed     uint64 // packets that were not shown to it
	Begin, End time.Time
}

// Teller makes stories of packets. The times given to it must not decrease. It is
// an engine.Explainer.
type Teller struct {
	Totals
	o       Options
	stories map[netip.Addr]*Story
	byDue   byDue
	held    int // packets of all stories
	recent  recent
	opened  []*opening
	refusal *event.Refused
	last    *Story // of Options.Source, not worth telling
}

const (
	// linger is how long a source may pause between packets that belong together
	// although no attempt is under way, and lingerOpen how long it is looked after
	// once a door has opened.
	linger     = 5 * time.Second
	lingerOpen = 10 * time.Second
	// maxStories and maxHeld bound what is under way at a time: sources, and
	// their packets.
	maxStories = 4096
	maxHeld    = 16384
)

// NewTeller returns a Teller.
func NewTeller(o Options) *Teller {
	return &Teller{o: o, stories: map[netip.Addr]*Story{}, recent: newRecent()}
}

// Explain implements engine.Explainer.
func (t *Teller) Explain(at time.Time, hit *knock.Hit, verdicts []knock.Verdict) {
	t.Packet(&Packet{At: at, Hit: *hit, Verdicts: verdicts})
}

// ExplainMessage implements engine.Explainer.
func (t *Teller) ExplainMessage(at time.Time, hit knock.Hit, verdict spa.Verdict) {
	t.Packet(&Packet{At: at, Hit: hit, Message: &verdict})
}

// Event takes what happened just before a packet is explained.
func (t *Teller) Event(_ time.Time, e event.Event) {
	if r, ok := e.(event.Refused); ok {
		t.refusal = &r
	}
}

// Packet takes a packet, whoever has decided on it. Its verdicts need only be valid
// during the call.
func (t *Teller) Packet(p *Packet) {
	t.see(p)
	t.take(p)
	t.refusal = nil
}

func (t *Teller) take(p *Packet) {
	src := p.Hit.Src
	if t.o.Source.IsValid() && src != t.o.Source {
		t.lookForStranger(p)
		return
	}
	t.Mine++
	if t.o.Local != nil && t.o.Local(src) && !t.o.Local(p.Hit.Dst) {
		return // sent by this host
	}
	used := p.Message == nil && t.o.Ports.usedStep(&p.Hit) != ""
	s := t.stories[src]
	if s == nil && !used && t.passing(p) {
		return
	}
	if s == nil {
		s = t.begin(p)
	}
	t.add(s, p, used)
}

// see counts a packet, and ends what is over by then.
func (t *Teller) see(p *Packet) {
	t.Packets++
	if t.Begin.IsZero() {
		t.Begin = p.At
	}
	t.End = p.At
	t.Pass(p.At)
}

// passing reports whether a packet of a source of which there is no story begins
// none. It is remembered, if something may follow.
func (t *Teller) passing(p *Packet) bool {
	if p.Message != nil {
		if p.Message.Outcome > spa.Untried || t.o.Source.IsValid() {
			return false
		}
		t.Others++
		return true
	}
	if len(p.Verdicts) > 0 {
		v := &p.Verdicts[0]
		switch o := knock.Foremost(p.Verdicts); {
		case o == knock.NoStep:
			switch strange := t.lookForStranger(p); {
			case t.o.Source.IsValid():
				return false
			case strange:
				return true
			}
			t.Others++
			if laterPacket(&p.Hit) {
				return true
			}
		case t.o.Source.IsValid():
			return false
		case v.Stage == 1 && firstHits(p.Verdicts):
			t.First++
		case o == knock.Repeat:
			t.Strays++
		case o == knock.WrongFlags && laterPacket(&p.Hit):
			t.Strays++
			return true
		default:
			return false
		}
	}
	kept := t.recent.next(p.Hit.Src)
	verdicts := append(kept.Verdicts[:0], p.Verdicts...)
	*kept = *p
	kept.Verdicts = verdicts
	return true
}

// firstHits reports whether all verdicts are of a first step.
func firstHits(verdicts []knock.Verdict) bool {
	return !slices.ContainsFunc(verdicts, func(v knock.Verdict) bool {
		return v.Outcome != knock.Took || v.Stage != 1 || v.Opens()
	})
}

// goesOn reports whether an attempt was under way.
func goesOn(verdicts []knock.Verdict) bool {
	return slices.ContainsFunc(verdicts, func(v knock.Verdict) bool {
		return v.Outcome == knock.Took && v.Stage > 1 || v.Outcome == knock.Ended
	})
}

// begin begins a story with what is remembered of the source.
func (t *Teller) begin(p *Packet) *Story {
	s := &Story{Source: p.Hit.Src}
	began := goesOn(p.Verdicts)
	for _, b := range t.recent.take(s.Source, t.since(p)) {
		switch {
		case firstHits(b.Verdicts):
			t.First--
			began = false
		case knock.Foremost(b.Verdicts) == knock.NoStep:
			t.Others--
		default:
			t.Strays--
		}
		t.hold(s, &b, false)
	}
	if began && t.First > 0 {
		t.First-- // it was forgotten
	}
	t.stories[s.Source] = s
	heap.Push(&t.byDue, s)
	return s
}

// since returns from when on packets belong to one: for as long as attempts go on,
// or a short pause.
func (t *Teller) since(p *Packet) time.Time {
	age := linger
	for i := range p.Verdicts {
		v := &p.Verdicts[i]
		age = max(age, v.Age)
		if v.Lapse != 0 {
			age = max(age, v.Since+v.Timeout)
		}
	}
	return p.At.Add(-age)
}

// add adds a packet to a story.
func (t *Teller) add(s *Story, p *Packet, used bool) {
	kept := *p
	kept.Verdicts = slices.Clone(p.Verdicts)
	t.note(s, &kept)
	t.hold(s, &kept, used)
	for i := range kept.Verdicts {
		if v := &kept.Verdicts[i]; v.Opens() {
			t.opens(s, p.At, v.Door, p.Hit.Src, nil)
		}
	}
	if m := p.Message; m != nil && m.Outcome == spa.Opened {
		t.opens(s, p.At, m.Door, m.Grant.Addr, knock.PortsOf(m.Grant.Ports))
	}
	for s.due = s.over(); t.held > maxHeld || len(t.stories) > maxStories; {
		t.byDue[0].cut, t.byDue[0].until = true, t.End
		t.Cut++
		t.finish(t.byDue[0])
	}
	if t.stories[s.Source] == s {
		heap.Fix(&t.byDue, s.place)
	}
}

// hold puts a packet into a story.
func (t *Teller) hold(s *Story, p *Packet, used bool) {
	before := len(s.Packets)
	if s.weigh(p, used) {
		s.relevant = p.At
	}
	s.add(*p)
	t.held += len(s.Packets) - before
}

// over is when the story is over.
func (s *Story) over() time.Time {
	pause := linger
	if s.opening != nil {
		pause = lingerOpen
	}
	until := s.relevant.Add(pause)
	if s.relevant.IsZero() {
		until = s.begin().Add(pause)
	}
	if live := s.liveUntil(); live.Add(linger).After(until) && !live.IsZero() {
		until = live.Add(linger)
	}
	return until
}

// Pass lets time pass: stories that are over are told.
func (t *Teller) Pass(now time.Time) {
	for len(t.byDue) > 0 && t.byDue[0].due.Before(now) {
		t.finish(t.byDue[0])
	}
}

// Close tells the stories that are not over. Nothing more comes than what came
// until then.
func (t *Teller) Close(now time.Time) {
	if now.After(t.End) {
		t.End = now
	}
	for len(t.byDue) > 0 {
		s := t.byDue[0]
		s.until = t.End
		t.finish(s)
	}
	if s := t.last; s != nil && t.Told == 0 {
		s.worth = true
		t.tell(s)
	}
}

// finish ends a story.
func (t *Teller) finish(s *Story) {
	heap.Remove(&t.byDue, s.place)
	delete(t.stories, s.Source)
	t.held -= len(s.Packets)
	if s.usedHits > 0 {
		s.used = t.o.Ports.usedBy(s.Packets)
	}
	if s.worth || s.used != nil || s.usedHits > 1 {
		t.tell(s)
		return
	}
	if t.o.Source.IsValid() {
		t.last = s
		return
	}
	t.Strays += uint64(s.LeftOut)
	for i := range s.Packets {
		if firstHits(s.Packets[i].Verdicts) && len(s.Packets[i].Verdicts) > 0 {
			t.First++
		} else {
			t.Strays++
		}
	}
}

func (t *Teller) tell(s *Story) {
	if !s.about(t.o.Door) {
		return
	}
	t.Told++
	s.expire(s.over())
	s.conclude(t.o)
	t.o.Tell(s)
}

// about reports whether a story concerns a door.
func (s *Story) about(door string) bool {
	if door == "" {
		return true
	}
	is := func(d knock.DoorID) bool { return d.String() == door }
	return slices.ContainsFunc(s.Doors, func(d Visit) bool { return is(d.Door) }) ||
		s.message != nil && is(s.message.Message.Door)
}

// byDue is stories in a heap, the first to end first.
type byDue []*Story

func (h byDue) Len() int { return len(h) }
func (h byDue) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	return h[i].Source.Less(h[j].Source)
}
func (h byDue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *byDue) Push(s any) {
	s.(*Story).place = len(*h)
	*h = append(*h, s.(*Story))
}

// Pop implements heap.Interface.
func (h *byDue) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
