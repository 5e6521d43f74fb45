package daemon

import (
	"net/netip"
	"slices"
	"time"

	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/openings"
	"knockd/internal/spa"
)

// decisions turns packets into log lines and openings. The live daemon and
// --read use the same one.
type decisions struct {
	tracker     *knock.Tracker
	doors       doorsInUse
	onlyV4      bool
	out         outcomes
	names       *names // nil without -l
	gate        *gate  // nil without doors that have keys
	failures    config.FailureLimit
	logFailures bool               // failed attempts go to the log, too
	verbose     bool               // somebody watches
	openings    []openings.Opening // of the knock at hand, here for its memory

	dear     bool         // the batch at hand may cost too many trials of keys
	messages []spa.Packet // of it, perhaps

	maxAttempts int
	crowded     tally // attempts that had to make room
	untried     tally // messages, perhaps, that were dropped
}

// outcomes is what decisions lead to.
type outcomes interface {
	// allows reports whether one more event that a stranger causes may be told.
	// If so it is to be told; if not it needs not be made: a flood makes most.
	allows() bool
	// tell tells what happened.
	tell(at time.Time, e event.Event)
	// open opens a door; announce writes OPEN SESAME, before the start
	// command runs and only if the door does open, which is the result.
	open(at time.Time, o openings.Opening, announce func()) bool
	// close ends the openings for a knocker that match, and says why.
	close(at time.Time, knocker netip.Addr, match func(*openings.Opening) bool, why string)
	// holds says whether a knocker has an opening.
	holds(knocker netip.Addr) bool
	// isLocal says whether an address is this host's.
	isLocal(netip.Addr) bool
	// use marks the sequence of a one-time door as used, puts the next one in
	// its place, and calls then unless the line could not be marked.
	use(at time.Time, d *door, then func())
	// admit has the gate decide on the request of a packet with the right keys,
	// once it is safe that it is used up, and opens what it decides.
	admit(at time.Time, g *gate, r *spa.Request)
}

func newDecisions(conf *config.Config, onlyV4 bool, out outcomes) *decisions {
	d := &decisions{tracker: knock.NewTracker(conf.MaxAttempts), onlyV4: onlyV4, out: out}
	d.maxAttempts = conf.MaxAttempts
	d.limitFailures(conf)
	d.tellFailures(conf)
	return d
}

// tellFailures has failed attempts told, if somebody wants to know.
func (d *decisions) tellFailures(conf *config.Config) {
	d.logFailures = conf.LogFailures
	d.tracker.SetVerbose(conf.LogFailures || d.verbose)
}

// limitFailures has those ignored whom the configuration says.
func (d *decisions) limitFailures(conf *config.Config) {
	d.failures = conf.MaxFailures
	d.tracker.SetFailureLimit(conf.MaxFailures, conf.NeverIgnore, d.out.holds)
}

// begin begins a batch of packets that arrived together. Each of them is for
// packet then, and at last comes end. If the gate may have too much to do with
// them, it is asked at the end, after all hits are decided on: who knocks does
// not wait for that, and the gate sees whom to prefer.
func (d *decisions) begin(batch []capture.Captured) {
	d.dear = false
	if d.gate == nil {
		return
	}
	n := 0
	for i := range batch {
		if d.mayHoldMessage(&batch[i]) {
			n++
		}
	}
	d.dear = d.gate.Begin(n, len(batch) >= capture.MaxBatch)
}

func (d *decisions) mayHoldMessage(p *capture.Captured) bool {
	return len(p.Payload) > 0 && d.gate.ports[knock.Step{Proto: p.Proto, Port: p.DstPort}] && (p.Src.Is4() || !d.onlyV4)
}

// packet shows the gate and the tracker one packet.
func (d *decisions) packet(p *capture.Captured, at time.Time) {
	if d.onlyV4 && !p.Src.Is4() {
		return
	}
	if d.gate != nil && d.mayHoldMessage(p) {
		message := spa.Packet{Hit: p.Hit, Payload: p.Payload, Local: d.tracker.Local(p.Dst)}
		if d.dear {
			d.messages = append(d.messages, message)
		} else {
			r, decision := d.gate.Examine(message, at)
			d.examined(r, decision, at)
		}
	}
	d.act(d.tracker.Observe(p.Hit, at), at)
}

// end ends a batch.
func (d *decisions) end(at time.Time) {
	if !d.dear {
		return
	}
	dropped := d.gate.ExamineAll(d.messages, at, func(r *spa.Request, decision spa.Verdict) { d.examined(r, decision, at) })
	d.untried.total += uint64(dropped)
	clear(d.messages)
	d.messages = d.messages[:0]
	d.sayTallies(at)
}

// examined carries out what the gate says of a packet.
func (d *decisions) examined(r *spa.Request, decision spa.Verdict, at time.Time) {
	if r != nil {
		d.out.admit(at, d.gate, r)
	} else if decision.Logged() && d.out.allows() {
		d.out.tell(at, decision.Event())
	}
}

// admitted carries out what the gate has decided on a request. It may be
// called from any goroutine if the outcomes may.
func admitted(out outcomes, at time.Time, g *gate, decision spa.Verdict) {
	if fault := possible(out, &decision.Grant); decision.Outcome == spa.Opened && fault != "" {
		decision.Outcome, decision.Reason = spa.Denied, fault
	}
	if decision.Outcome != spa.Opened {
		if out.allows() {
			out.tell(at, decision.Event())
		}
		return
	}
	accepted := g.accepted(decision)
	out.tell(at, accepted)
	openAll(out, at, g.requested(decision), event.Admitted{Door: accepted.Door, Knocker: event.Knocker{Addr: accepted.For}})
	closeOther(out, at, g.doors[decision.By], decision.Grant.Addr)
}

// openAll makes all openings of a door, after one OPEN SESAME.
func openAll(out outcomes, at time.Time, list []openings.Opening, admitted event.Admitted) {
	announce := func() { out.tell(at, admitted) }
	for _, o := range list {
		if !out.open(at, o, announce) {
			return
		}
		announce = nil
	}
}

// next is when expire has something to do.
func (d *decisions) next() (at time.Time, ok bool) {
	at, ok = d.tracker.Next()
	d.crowded.total = d.tracker.Stats().Evicted
	for _, t := range []*tally{&d.crowded, &d.untried} {
		if due, more := t.due(); more && (!ok || due.Before(at)) {
			at, ok = due, true
		}
	}
	return at, ok
}

// expire lets time pass.
func (d *decisions) expire(at time.Time) {
	d.act(d.tracker.Expire(at), at)
	d.sayTallies(at)
}

// act carries out what the tracker decided.
func (d *decisions) act(decided []knock.Decision, at time.Time) {
	for i := range decided {
		e := &decided[i]
		d.lookUp(e)
		switch e.Kind {
		case knock.Stage:
			if d.out.allows() {
				d.out.tell(at, event.Stage{Door: e.Door.ID(), Knocker: d.who(e), Stage: e.Stage})
			}
		case knock.Expired:
			if d.out.allows() {
				d.out.tell(at, event.Expired{Door: e.Door.ID(), Knocker: d.who(e), Stage: e.Stage})
			}
		case knock.Failed:
			if d.out.allows() {
				d.out.tell(at, d.failed(e))
			}
		case knock.Opened:
			d.opened(d.doors.byKey[e.Door], e, at)
		case knock.Ignored:
			d.out.tell(at, event.Ignored{Door: e.Door.ID(), Knocker: d.who(e), For: d.failures.For, Failures: d.failures.Count})
		}
	}
	if len(decided) > 0 {
		d.sayTallies(at)
	}
}

func (d *decisions) failed(e *knock.Decision) event.AttemptFailed {
	failed := event.AttemptFailed{Door: e.Door.ID(), Knocker: d.who(e), Stage: e.Stage, Logged: d.logFailures}
	if e.Of != nil {
		failed.Of = e.Of.ID()
	} else {
		failed.Hit = knock.Step{Proto: e.Hit.Proto, Port: e.Hit.DstPort}.Ports()
	}
	return failed
}

// lookUp begins to look for the knocker's host name, with -l. Nobody is looked
// up at the first stage: the question would tell those who watch the name
// server which port comes first.
func (d *decisions) lookUp(e *knock.Decision) {
	if d.names != nil && (e.Kind == knock.Opened || e.Stage > 1) {
		d.names.want(e.Src)
	}
}

// who is the knocker as events name it: the address and, with -l, the host name
// if it is known by now.
func (d *decisions) who(e *knock.Decision) event.Knocker {
	k := event.Knocker{Addr: e.Src}
	if d.names != nil {
		k.Host = d.names.of(e.Src)
	}
	return k
}

func (d *decisions) opened(door *door, e *knock.Decision, at time.Time) {
	admitted := event.Admitted{Door: door.ID(), Knocker: d.who(e)}
	d.openings = appendOpenings(d.openings[:0], door, e, admitted.Knocker.Host)
	if door.oneTime == nil {
		d.open(at, door, d.openings, admitted)
		return
	}
	list := slices.Clone(d.openings)
	d.out.use(at, door, func() { d.open(at, door, list, admitted) })
}

func (d *decisions) open(at time.Time, door *door, list []openings.Opening, admitted event.Admitted) {
	openAll(d.out, at, list, admitted)
	closeOther(d.out, at, door, admitted.Knocker.Addr)
}
