package knock

import (
	"net/netip"
	"time"
)

// DefaultMaxAttempts is how many attempts a Tracker holds at once if nothing
// else is asked for.
const DefaultMaxAttempts = 262144

// Tracker decides, packet by packet, what knockd 0.8 decides: which hits are
// steps of which sequence, which attempts fail or expire, which doors open.
// It is not safe for concurrent use. The times given to it must not decrease.
type Tracker struct {
	doors     []rules
	ids       map[DoorID]int32 // of the doors
	lastID    int32
	index     *index
	strict    strict
	local     map[netip.Addr]bool
	attempts  *attempts
	repeats   *repeats
	cooldowns cooldowns
	failures  *failures  // nil: nobody is ignored
	epoch     time.Time  // the first time seen
	decisions []Decision // returned by the last call, reused by the next
	mine      []int32    // scratch for one hit
	stats     Stats
	verbose   bool
	explainer *explainer // nil: nobody asks
}

// Stats counts what a Tracker holds and has given up.
type Stats struct {
	Attempts int    // live now
	Begun    uint64 // at any time, those of one step included
	Expired  uint64 // whose time passed
	Ignored  uint64 // sources that were to be ignored for a while
	Evicted  uint64 // removed before their time, to make room
	Fullest  *Door  // that gave up the latest of these; nil if there is none
	Repeats  uint64 // hits ignored as repeats of one that took a step
	Failed   uint64 // attempts that a hit has ended
}

// NewTracker returns a Tracker without doors that holds at most maxAttempts
// attempts at once (at least 1).
func NewTracker(maxAttempts int) *Tracker {
	return &Tracker{
		index: &index{}, attempts: newAttempts(max(maxAttempts, 1)), repeats: newRepeats(), cooldowns: newCooldowns(),
	}
}

// SetLocal says which addresses are the host's own: the destinations of doors
// without a target. Live attempts go on.
func (t *Tracker) SetLocal(addrs []netip.Addr) {
	local := make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		local[a.Unmap().WithZone("")] = true
	}
	t.local = local
}

// SetFailureLimit says who is ignored. Sources of the networks in never are
// not, nor are those that spared speaks for (may be nil); it is called before a
// source is ignored. What is known of failures so far is forgotten.
func (t *Tracker) SetFailureLimit(l FailureLimit, never []netip.Prefix, spared func(netip.Addr) bool) {
	t.failures = nil
	if l.Count > 0 {
		t.failures = newFailures(l, never, spared)
	}
}

// SetVerbose has failed attempts reported, too.
func (t *Tracker) SetVerbose(verbose bool) { t.verbose = verbose }

// SetDoors replaces the doors, in file order. Attempts at a door that is in
// the old and the new list (the same pointer, not changed since) go on; all
// others end without a word. Cooldowns go on at doors of the same name, or
// the same place among those of one name.
func (t *Tracker) SetDoors(doors []*Door) {
	place := make(map[*Door]int32, len(doors))
	for i, d := range doors {
		place[d] = int32(i)
	}
	moved := make([]int32, len(t.doors))
	for i := range t.doors {
		moved[i] = none
		if n, ok := place[t.doors[i].Door]; ok {
			moved[i] = n
		}
	}
	t.attempts.moveDoors(moved, len(doors))
	timeouts := make([]time.Duration, len(doors))
	for i, d := range doors {
		timeouts[i] = d.Timeout
	}
	t.attempts.setQueues(timeouts)
	t.setRules(doors)
	t.index = newIndex(t.doors)
	if t.explainer != nil {
		t.explainer.setDoors(t.doors)
	}
	t.cooldowns.keep(t.ids)
}

// setRules takes the doors over, with the ids that they had.
func (t *Tracker) setRules(doors []*Door) {
	failed := t.FailedAt()
	t.doors, t.strict = make([]rules, len(doors)), nil
	ids := make(map[DoorID]int32, len(doors))
	count := make(map[string]int, len(doors))
	for i, d := range doors {
		count[d.Name]++
		name := DoorID{d.Name, count[d.Name]}
		id, known := t.ids[name]
		if !known {
			t.lastID++
			id = t.lastID
		}
		ids[name] = id
		t.doors[i] = rules{d, id, newSenders(d), failed[d.ID()]}
		if d.Strict && len(d.Sequence) > 1 {
			t.strict.add(d)
		}
	}
	t.ids = ids
}

// Stats returns the counters.
func (t *Tracker) Stats() Stats {
	s := t.stats
	s.Attempts = t.attempts.count
	return s
}

// Evicted returns how many attempts were removed before their time, to make room,
// and the door that gave up the latest of them; nil if there is none.
func (t *Tracker) Evicted() (n uint64, fullest *Door) { return t.stats.Evicted, t.stats.Fullest }

// Observe takes one packet at the given time and returns what it decides,
// preceded by the expiries due by then. The result is valid until the next call.
func (t *Tracker) Observe(hit Hit, now time.Time) []Decision {
	t.decisions = t.decisions[:0]
	at := t.clock(now)
	t.expire(at)
	step := t.index.of(&hit)
	if step == nil && len(t.strict) == 0 && t.explainer == nil {
		return t.decisions
	}
	s := sighting{Hit: &hit, at: at}
	if t.explainer == nil {
		t.observe(&s, step)
		return t.decisions
	}
	t.explainer.verdicts = t.explainer.verdicts[:0]
	t.explainRest(&s, t.observe(&s, step))
	return t.decisions
}

// observe reports whether the hit's source has an attempt that the hit was for.
func (t *Tracker) observe(s *sighting, step *stepDoors) (alive bool) {
	_, s.local = t.local[s.Dst]
	doors := step.at(s.Dst, s.local)
	s.visible = doors.visible(s.Hit)
	if !s.visible && !t.strict.stray(s) {
		return false
	}
	if t.failures.ignores(s.Src, s.at) {
		if t.explainer != nil {
			t.ignored(s.Hit, s.at)
		}
		return false
	}
	s.src = t.attempts.sources.of(s.Src)
	if !s.visible && t.attempts.oldestOf(&s.src) == none {
		return false
	}
	if s.Proto == TCP && t.repeats.known(s.Hit, s.at) {
		t.stats.Repeats++
		if t.explainer != nil {
			t.explainRepeat(s.Hit)
		}
		return true
	}
	took, alive := t.advance(s)
	if !alive && s.visible {
		took = t.start(doors, s)
	}
	if took && s.Proto == TCP {
		t.repeats.remember(s.Hit, s.at)
	}
	return alive
}

// sighting is a hit with what is found out about it once.
type sighting struct {
	*Hit
	src     source
	at      int64 // nanoseconds since the tracker's epoch
	local   bool  // the destination is an address of the host
	visible bool  // some door could use it as a step
}

// wentTo reports whether the hit went to the destination that a door watches.
func (s *sighting) wentTo(target netip.Addr) bool {
	if target.IsValid() {
		return target == s.Dst
	}
	return s.local
}

// Expire ends the attempts whose time has passed and returns their expiries.
// The result is valid until the next call.
func (t *Tracker) Expire(now time.Time) []Decision {
	t.decisions = t.decisions[:0]
	t.expire(t.clock(now))
	return t.decisions
}

// Next returns when the next attempt expires, if there is one.
func (t *Tracker) Next() (time.Time, bool) {
	i, deadline := t.attempts.first()
	if i == none {
		return time.Time{}, false
	}
	return t.epoch.Add(time.Duration(deadline)), true
}

// clock turns a time into nanoseconds since the epoch.
func (t *Tracker) clock(now time.Time) int64 {
	if t.epoch.IsZero() {
		t.epoch = now
	}
	return int64(now.Sub(t.epoch))
}

// advance shows the hit to every live attempt of its source at this
// destination. It reports whether one of them took a step, and whether there
// was one at all: then no new attempt starts.
func (t *Tracker) advance(s *sighting) (took, alive bool) {
	t.mine = t.attempts.of(&s.src, t.mine[:0])
	for _, i := range t.mine {
		a := t.attempts.at(i)
		d := &t.doors[a.door]
		if !s.wentTo(d.Target) {
			continue
		}
		alive = true
		if d.CooldownForAll && t.cooldowns.hold(d, s.Src, s.at) {
			if t.explainer != nil {
				t.coolingDown(d, s)
			}
			continue
		}
		judged := d.judge(a, s)
		if t.explainer != nil {
			t.explainJudged(a, d, s, judged)
		}
		switch judged {
		case step:
			took = true
			t.step(i, d, s)
		case failed:
			stage := int(a.stage)
			t.attempts.remove(i)
			t.fail(d, s, stage)
		}
	}
	return took, alive
}

// step moves an attempt on by one stage, or through the door.
func (t *Tracker) step(i int32, d *rules, s *sighting) {
	a := t.attempts.at(i)
	if d.Sequence[a.stage].Port == 0 {
		a.port = s.DstPort
	}
	port := a.port
	stage := int(a.stage) + 1
	if stage == len(d.Sequence) {
		t.attempts.remove(i)
	} else {
		a.stage++
	}
	t.report(d, s, stage, port)
}

// fail counts an attempt that has failed.
func (t *Tracker) fail(d *rules, s *sighting, stage int) {
	t.stats.Failed++
	d.failed++
	t.noteLapse(&s.src, d, LapseFailed, stage, s.at)
	if t.verbose {
		t.decisions = append(t.decisions, Decision{Kind: Failed, Door: d.Door, Src: s.Src, Stage: stage, Hit: *s.Hit, Of: t.owner(d, s.Hit)})
	}
	if t.failures.add(s.Src, s.at) {
		t.stats.Ignored++
		if t.explainer != nil {
			t.ignored(s.Hit, s.at)
		}
		t.decisions = append(t.decisions, Decision{Kind: Ignored, Door: d.Door, Src: s.Src, Hit: *s.Hit})
	}
}

// owner returns a door that has the hit's port in its sequence: at best the one
// whose attempt it has ended.
func (t *Tracker) owner(d *rules, h *Hit) *Door {
	if d.uses(h) {
		return d.Door
	}
	if t.index.of(h) != nil {
		for i := range t.doors {
			if t.doors[i].uses(h) {
				return t.doors[i].Door
			}
		}
	}
	return nil
}

// start begins an attempt at every door whose first step the hit is.
func (t *Tracker) start(doors concerned, s *sighting) (took bool) {
	doors.each(func(n int32) {
		d := &t.doors[n]
		if !d.begins(s) {
			return
		}
		if t.cooldowns.hold(d, s.Src, s.at) {
			if t.explainer != nil {
				t.coolingDown(d, s)
			}
			return
		}
		port := uint16(0)
		if d.Sequence[0].Port == 0 {
			port = s.DstPort
		}
		if len(d.Sequence) > 1 {
			t.remember(attempt{src: s.src, start: s.at, door: n, stage: 1, port: port})
		}
		took = true
		t.stats.Begun++
		if t.explainer != nil {
			v := d.verdict(Took, s.Hit)
			v.Step, v.Stage = 1, 1
			t.explainer.say(v)
		}
		t.report(d, s, 1, port)
	})
	return took
}

// remember enters a new attempt into the table.
func (t *Tracker) remember(a attempt) {
	if t.explainer != nil && t.attempts.count >= t.attempts.limit {
		poor := t.attempts.at(t.attempts.poorest(a.door))
		t.noteLapse(&poor.src, &t.doors[poor.door], LapseEvicted, int(poor.stage), a.start)
	}
	if poorer := t.attempts.add(a); poorer != none {
		t.stats.Evicted++
		t.stats.Fullest = t.doors[poorer].Door
	}
}

// report says that the hit's source has reached a stage, and that the door
// opens if it was the last.
func (t *Tracker) report(d *rules, s *sighting, stage int, port uint16) {
	e := Decision{Kind: Stage, Door: d.Door, Src: s.Src, Stage: stage, Hit: *s.Hit}
	t.decisions = append(t.decisions, e)
	if stage == len(d.Sequence) {
		t.cooldowns.begin(d, s.Src, s.at)
		t.noteLapse(&s.src, d, LapseOpened, stage, s.at)
		e.Kind, e.Port = Opened, port
		t.decisions = append(t.decisions, e)
	}
}

// expire reports and removes the attempts whose deadline has come.
func (t *Tracker) expire(now int64) {
	for t.attempts.due <= now {
		i, deadline := t.attempts.first()
		t.attempts.due = deadline
		if deadline > now {
			return
		}
		a := t.attempts.at(i)
		t.stats.Expired++
		t.noteLapse(&a.src, &t.doors[a.door], LapseExpired, int(a.stage), deadline)
		t.decisions = append(t.decisions, Decision{
			Kind: Expired, Door: t.doors[a.door].Door, Src: a.src.addr(), Stage: int(a.stage),
		})
		t.attempts.remove(i)
	}
}

// Local reports whether an address is one of those given to SetLocal.
func (t *Tracker) Local(a netip.Addr) bool { return t.local[a] }
