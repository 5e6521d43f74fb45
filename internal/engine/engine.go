package engine

import (
	"net/netip"
	"slices"
	"time"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// Options is what decisions take beside the configuration.
type Options struct {
	OnlyIPv4 bool
	Verbose  bool  // somebody watches: failed attempts are events, too
	Names    Names // nil: knockers have no names
	Effects  Effects
}

// Names knows the host names of knockers.
type Names interface {
	// Of returns the name of an address, "" if it is not known yet.
	Of(netip.Addr) string
	// Want asks for it.
	Want(netip.Addr)
}

// Effects is what decisions lead to.
type Effects interface {
	// Allows reports whether one more event that a stranger causes may be told.
	// If so it is to be told; if not it needs not be made: a flood makes most.
	Allows() bool
	// Tell tells what happened. Show tells it to those alone who watch, if there
	// are any.
	Tell(at time.Time, e event.Event)
	Show(at time.Time, e event.Event)
	// Open opens a door; announce writes OPEN SESAME, before anything of it
	// begins and only if the door does open, which is the result.
	Open(at time.Time, o knock.Opening, announce func()) bool
	// Close ends the openings for a knocker that match, and says why.
	Close(at time.Time, knocker netip.Addr, match func(*knock.Opening) bool, why string)
	// Holds reports whether a knocker has an opening.
	Holds(knocker netip.Addr) bool
	// IsLocal reports whether an address is this host's.
	IsLocal(netip.Addr) bool
	// Use marks the sequence of a one-time door as used, puts the next one in
	// its place (Replace), and calls then unless the line could not be marked.
	Use(at time.Time, d *Door, then func())
	// Admit has a message with the right keys admitted: Await, then Admitted.
	Admit(at time.Time, a *Admission)
}

// Engine decides on packets. It is not safe for concurrent use; the times given
// to it must not decrease.
type Engine struct {
	options  Options
	effects  Effects
	conf     *config.Config
	tracker  *knock.Tracker
	explain  Explainer // nil: nobody asks
	doors    []*Door
	byKey    map[*knock.Door]*Door
	verifier *verifier       // nil without doors that have keys
	openings []knock.Opening // of the knock at hand, here for its memory
	watched  bool            // somebody is shown failed attempts, whoever logs them
	dear     bool            // the batch at hand may cost too many trials of keys
	messages []spa.Packet    // of it, perhaps
	crowded  event.Tally     // attempts that had to make room
	untried  event.Tally     // messages, perhaps, that were dropped
	refusals uint64          // messages that opened nothing
}

// New returns an engine for the doors that Prepare has made of a configuration.
// Once remembers the messages that were used; it may be nil without doors that
// have keys.
func New(conf *config.Config, doors []*Door, once spa.Once, o Options) *Engine {
	e := &Engine{options: o, effects: o.Effects, tracker: knock.NewTracker(conf.MaxAttempts)}
	e.Swap(conf, doors, once)
	return e
}

// Swap puts a configuration, and the doors that Prepare has made of it, in place
// of the one before. A door that is written as before, and waits for the same
// sequence or has the same keys, keeps its attempts; those at others end without
// a word. It returns the doors that are gone.
func (e *Engine) Swap(conf *config.Config, doors []*Door, once spa.Once) (gone map[knock.DoorID]bool) {
	if e.conf == nil || e.failureLimitChanged(conf) {
		e.tracker.SetFailureLimit(conf.MaxFailures, conf.NeverIgnore, e.effects.Holds)
	}
	old := map[knock.DoorID]*Door{}
	for _, was := range e.doors {
		old[was.ID()] = was
	}
	for i, now := range doors {
		id := now.ID()
		if was := old[id]; was != nil && was.same(now) {
			doors[i] = was
		}
		delete(old, id)
	}
	e.conf = conf
	e.tracker.SetVerbose(e.tellsFailures() || e.watched)
	e.setDoors(doors)
	e.verifier = newVerifier(conf, doors, once)
	gone = map[knock.DoorID]bool{}
	for id := range old {
		gone[id] = true
	}
	return gone
}

// failureLimitChanged reports whether a configuration has others ignored. Else
// what is known of failures goes on.
func (e *Engine) failureLimitChanged(conf *config.Config) bool {
	changed, _ := e.conf.OptionsChanged(conf)
	return slices.Contains(changed, "max_failures") || slices.Contains(changed, "never_ignore")
}

// Doors returns the doors as they are now, in file order.
func (e *Engine) Doors() []*Door { return e.doors }

func (e *Engine) setDoors(doors []*Door) {
	e.doors, e.byKey = doors, make(map[*knock.Door]*Door, len(doors))
	known := make([]*knock.Door, len(doors))
	for i, d := range doors {
		known[i] = &d.Door
		e.byKey[known[i]] = d
	}
	e.tracker.SetDoors(known)
}

// Replace puts another state of a door in its place; attempts at it end.
func (e *Engine) Replace(old, now *Door) {
	for i, d := range e.doors {
		if d == old {
			e.doors[i] = now
		}
	}
	e.setDoors(e.doors)
}

// Stats counts what an Engine has decided.
type Stats struct {
	knock.Stats
	RefusedMessages uint64 // that opened nothing, those of no known key included
	UntriedMessages uint64 // perhaps messages, on which no key was tried
}

// Stats returns the counters.
func (e *Engine) Stats() Stats {
	return Stats{Stats: e.tracker.Stats(), RefusedMessages: e.refusals, UntriedMessages: e.untried.Total}
}

// FailedAt returns how many attempts at each door a hit has ended, without the
// doors that had none.
func (e *Engine) FailedAt() map[knock.DoorID]uint64 { return e.tracker.FailedAt() }

// Attempts returns attempts in progress: at a door, if it has a name, and of a
// source, if the address is valid; the newest ones, at most so many, shared evenly
// between the doors.
func (e *Engine) Attempts(at knock.DoorID, src netip.Addr, most int) []knock.Attempt {
	var door *knock.Door
	for i := range e.doors {
		if d := &e.doors[i].Door; d.ID() == at {
			door = d
		}
	}
	switch {
	case at.Name != "" && door == nil:
		return nil
	case !src.IsValid():
		return e.tracker.Attempts(door, most)
	}
	list := e.tracker.AttemptsOf(src)
	if door != nil {
		list = slices.DeleteFunc(list, func(a knock.Attempt) bool { return a.Door != door })
	}
	return list[:min(len(list), most)]
}

// SetLocal says which addresses are the host's own. Live attempts go on.
func (e *Engine) SetLocal(addrs []netip.Addr) { e.tracker.SetLocal(addrs) }

// AnyFlags reports whether packets count whatever their flags: somebody wants to
// know why attempts fail.
func (e *Engine) AnyFlags() bool {
	return e.options.Verbose || e.conf.LogFailures || e.watched || e.explain != nil
}

// SetWatched has failed attempts shown to those who watch, or not.
func (e *Engine) SetWatched(watched bool) {
	e.watched = watched
	e.tracker.SetVerbose(e.tellsFailures() || watched)
}

// tellsFailures reports whether failed attempts are told, watched or not.
func (e *Engine) tellsFailures() bool {
	return e.options.Verbose || e.conf.LogFailures || e.conf.ForPrograms()
}

// Begin begins a batch of packets that arrived together, of which so many may
// hold messages; full says that more of them may wait. Each of them is for
// Packet then, and at last comes End. If the keys may have too much to do with
// them, they are tried at the end, after all hits are decided on: who knocks does
// not wait for that, and it is seen whom to prefer.
func (e *Engine) Begin(messages int, full bool) {
	e.dear = e.verifier != nil && e.verifier.Begin(messages, full)
}

// MayHoldMessage reports whether a packet may hold a message for an SPA door.
func (e *Engine) MayHoldMessage(hit *knock.Hit, payload []byte) bool {
	return e.verifier != nil && len(payload) > 0 && e.verifier.ports[knock.Step{Proto: hit.Proto, Port: hit.DstPort}] &&
		(hit.Src.Is4() || !e.options.OnlyIPv4)
}

// Packet decides on one packet.
func (e *Engine) Packet(hit *knock.Hit, payload []byte, at time.Time) {
	if e.options.OnlyIPv4 && !hit.Src.Is4() {
		if e.explain != nil {
			e.explain.Explain(at, hit, []knock.Verdict{{Outcome: knock.IPv6Hit}})
		}
		return
	}
	holds := e.MayHoldMessage(hit, payload)
	if holds {
		message := spa.Packet{Hit: *hit, Payload: payload, Local: e.tracker.Local(hit.Dst)}
		if e.dear {
			e.messages = append(e.messages, message)
		} else {
			r, verdict := e.verifier.Examine(message, at)
			e.examined(hit, r, verdict, at)
		}
	}
	e.act(e.tracker.Observe(*hit, at), at)
	if e.explain != nil {
		if verdicts := e.tracker.Verdicts(); !holds || knock.Foremost(verdicts) != knock.NoStep {
			e.explain.Explain(at, hit, verdicts)
		}
	}
}

// End ends a batch.
func (e *Engine) End(at time.Time) {
	if !e.dear {
		return
	}
	dropped := e.verifier.ExamineAll(e.messages, at, func(p *spa.Packet, r *spa.Request, verdict spa.Verdict) { e.examined(&p.Hit, r, verdict, at) })
	e.untried.Total += uint64(dropped)
	clear(e.messages)
	e.messages = e.messages[:0]
	e.sayTallies(at)
}

// Next returns when Expire has something to do, if it will.
func (e *Engine) Next() (at time.Time, ok bool) {
	at, ok = e.tracker.Next()
	e.crowded.Total, _ = e.tracker.Evicted()
	for _, t := range []*event.Tally{&e.crowded, &e.untried} {
		if due, more := t.Due(); more && (!ok || due.Before(at)) {
			at, ok = due, true
		}
	}
	return at, ok
}

// Expire lets time pass.
func (e *Engine) Expire(at time.Time) {
	expired := e.tracker.Expire(at)
	e.act(expired, at)
	if len(expired) == 0 { // else it is said
		e.sayTallies(at)
	}
}

// sayTallies says what is due: that attempts had to make room, and that no key
// was tried on packets.
func (e *Engine) sayTallies(at time.Time) { e.sayTallied(at, (*event.Tally).Take) }

// SayRest says at the end what would be said later.
func (e *Engine) SayRest(at time.Time) { e.sayTallied(at, (*event.Tally).Rest) }

func (e *Engine) sayTallied(at time.Time, take func(*event.Tally, time.Time) uint64) {
	evicted, fullest := e.tracker.Evicted()
	e.crowded.Total = evicted
	if n := take(&e.crowded, at); n > 0 {
		e.effects.Tell(at, event.Evicted{Limit: e.conf.MaxAttempts, Attempts: n, Door: fullest.ID()})
	}
	if n := take(&e.untried, at); n > 0 {
		e.effects.Tell(at, event.MessagesDropped{Messages: n})
	}
}
