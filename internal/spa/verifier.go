package spa

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// Once remembers what was used. *replaycache.Store is one.
type Once interface {
	// Enter enters a token with its own time and does not wait: from then on it
	// is used. The function that it returns waits until that is safe on disk, or
	// says why it is not. An error of Enter for which errors.Is(err, fs.ErrExist)
	// holds says that the token was used, or may have been; any other that
	// nothing can be entered. All these texts go into the log. The function may
	// be called by another goroutine.
	Enter(token Token, stamp, now time.Time) (safe func() error, err error)
}

// Packet is what reached the host, as packet.Decode makes it. Its time is passed
// beside it.
type Packet struct {
	knock.Hit
	Payload []byte
	Local   bool // Hit.Dst is an address of this host (of the interfaces listened on)
}

// Outcome is the kind of a Verdict.
type Outcome uint8

// The outcomes. Any stranger can cause Junk and Unknown, and whoever can
// listen Replay; the others need the keys, or fail for reasons of our own.
const (
	// Junk is no packet for any door; nothing is logged.
	Junk Outcome = iota
	// Untried came with too many others; nothing is logged of it alone.
	Untried
	// Unknown has the right form but was not made with any key here.
	Unknown
	// Faulty was made with a key here and does not hold what it should.
	Faulty
	// Untimely is too old or too early.
	Untimely
	// Replay was used before, or may have been.
	Replay
	// StoreFault says that Once failed; nothing opens.
	StoreFault
	// Denied is refused by every door that its keys belong to; it is used up.
	Denied
	// Opened opens a door.
	Opened
)

var outcomeNames = [...]string{"junk", "untried", "unknown", "faulty", "untimely", "replay", "store-fault", "denied", "opened"}

// String returns the outcome as a word for counters: "junk" to "opened".
func (o Outcome) String() string { return outcomeNames[o] }

// Verdict is what becomes of one packet.
type Verdict struct {
	Outcome Outcome
	Src     netip.Addr    // the sender
	Dst     netip.Addr    // where the packet was sent to
	Reason  string        // why it does not open: one sentence for the log, never a secret
	Late    time.Duration // with Untimely: how much older it is than ours; less than 0: it is from the future
	Door    knock.DoorID  // the door that opens, or that refused first
	Client  string        // whose keys
	Grant   Grant         // with Opened
	By      *Door         // with Opened: the door that opens
}

// Grant is what a door opens.
type Grant struct {
	Addr    netip.Addr    // for whom: valid, unmapped, not special
	Ports   []knock.Step  // at least one, none twice, in the order asked for
	Timeout time.Duration // 0: for ever
	NAT     *NATTarget    // with NAT messages: where the one port leads to
	Local   bool          // NAT to this host itself
}

// Logged reports whether there is something to tell; see Event.
func (v Verdict) Logged() bool { return v.Outcome > Untried && v.Outcome != Opened }

// Event returns what is told of a verdict for which Logged holds: of one that
// opens the door's own events speak.
func (v Verdict) Event() event.MessageRefused {
	return event.MessageRefused{Src: v.Src, Door: v.Door, Client: v.Client, Verdict: v.Outcome.String(), Reason: v.Reason}
}

// Verifier decides what packets open. Examine belongs to one goroutine; Admit may be
// called by many.
type Verifier struct {
	doors []*Door
	keys  [][]*keyState // per door and client
	once  Once
	age   time.Duration // the largest of the doors'
	known known
	round uint64 // of the packet being examined
	sign  signature
	doorIndex
	budget
}

// keyState is what a set of keys makes of the packet being examined. Clients
// with the same keys share one.
type keyState struct {
	opener
	round   uint64
	counted uint64 // see acceptors
	found   bool   // the HMAC holds, and without one the text decrypts
	err     error  // what is wrong with it all the same
	token   Token
	msg     Message
}

// NewVerifier returns a Verifier for the doors, in file order. It does not change
// anything it is given.
func NewVerifier(doors []*Door, once Once) *Verifier {
	v := &Verifier{doors: doors, once: once, age: LargestAge(doors), known: newKnown(), doorIndex: newDoorIndex(doors)}
	var all []*keyState
	for _, d := range doors {
		states := make([]*keyState, len(d.Clients))
		for i := range d.Clients {
			states[i], all = stateFor(all, &d.Clients[i])
		}
		v.keys = append(v.keys, states)
	}
	v.budget = newBudget(all)
	return v
}

func stateFor(all []*keyState, c *Client) (*keyState, []*keyState) {
	for _, s := range all {
		if sameKeys(s.client, c) {
			return s, all
		}
	}
	s := &keyState{opener: *newOpener(c)}
	return s, append(all, s)
}

// trial returns how many trials one of these keys counts for.
func (s *keyState) trial() int { return hashes[s.client.HMAC].trial }

// Request is a packet that is what it says, not too old, and new. Only Verifier
// makes one.
type Request struct {
	src, dst  netip.Addr
	forwarded netip.Addr // what X-Forwarded-For says, if anything
	token     Token
	msg       Message
	matches   []match
	safe      func() error // see Once
}

// match is a door that the packet's keys belong to.
type match struct {
	door   *Door
	client *Client
}

// Decide examines and admits a packet.
func (v *Verifier) Decide(p Packet, now time.Time) Verdict {
	r, d := v.Examine(p, now)
	if r == nil {
		return d
	}
	return v.Admit(r, now)
}

// candidate is a packet that has the form of a message, and what is decided on it
// so far.
type candidate struct {
	Packet
	via       transport
	forwarded netip.Addr // what X-Forwarded-For says, if anything
	sum       uint64     // see known
	verdict   Verdict
}

// Examine makes all tests that need neither disk nor policy: form, sender, HMAC,
// text, age, and whether it was used. It returns the request to admit, or nil and
// why not. From then on the packet is used up, be it admitted or not. Payload is
// not kept.
func (v *Verifier) Examine(p Packet, now time.Time) (*Request, Verdict) {
	c, more := v.look(p, now)
	if !more {
		return nil, c.verdict
	}
	r := v.try(&c, now)
	return r, c.verdict
}

// look makes the tests that need no key. It reports whether keys have to be tried.
func (v *Verifier) look(p Packet, now time.Time) (c candidate, more bool) {
	p.Src, p.Dst = p.Src.Unmap(), p.Dst.Unmap()
	c.verdict = Verdict{Src: p.Src, Dst: p.Dst}
	c.via, c.forwarded = p.unwrap()
	c.Packet = p
	if !plausible(p.Payload) {
		c.verdict.Reason = "not of the form of a message"
		return c, false
	}
	c.sum = v.known.sum(p.Payload)
	s := v.known.packets[c.sum]
	return c, s == nil || !s.door.accepts(p, c.via) || !s.refuse(&c.verdict, now, v.age)
}

// try tries the keys of the doors that the packet may concern.
func (v *Verifier) try(c *candidate, now time.Time) *Request {
	v.round++
	v.sign.chars = 0
	var r *Request
	c.verdict.Reason = "from where, to where or in a way that no door with keys takes"
	for _, i := range v.acceptors(c).doors {
		c.verdict.merge(Verdict{Outcome: Unknown, Reason: "made with no key of this host"})
		r = v.tryDoor(i, r, c, now)
	}
	if r == nil || !v.enter(r, c, now) {
		return nil
	}
	return r
}

// tryDoor tries a door's keys and adds the door to the request if they fit.
func (v *Verifier) tryDoor(i int, r *Request, c *candidate, now time.Time) *Request {
	door := v.doors[i]
	for j, state := range v.keys[i] {
		client := &door.Clients[j]
		if state.round != v.round {
			v.left -= state.trial() * weight(len(c.Payload))
		}
		if !state.examine(c.Payload, &v.sign, v.round) {
			continue
		}
		no := Verdict{Door: door.DoorID, Client: client.Name}
		if state.err != nil {
			no.Outcome, no.Reason = Faulty, state.err.Error()
			c.verdict.merge(no)
			continue
		}
		if no.Reason = untimely(state.msg.Time, now, door.MaxAge); no.Reason != "" {
			no.Outcome, no.Late = Untimely, now.Sub(state.msg.Time).Truncate(time.Second)
			c.verdict.merge(no)
			if tooOld(state.msg.Time, now, v.age) {
				v.known.add(c.sum, &seen{match: match{door, client}, stamp: state.msg.Time})
			}
			continue
		}
		if r == nil {
			r = &Request{src: c.Src, dst: c.Dst, forwarded: c.forwarded, token: state.token, msg: state.msg}
		}
		if r.token == state.token {
			r.matches = append(r.matches, match{door, client})
		}
		return r
	}
	return r
}

// enter uses the request up. It reports whether it was new.
func (v *Verifier) enter(r *Request, c *candidate, now time.Time) (isNew bool) {
	safe, err := v.once.Enter(r.token, r.msg.Time, now)
	r.safe = safe
	used := "used before"
	if err != nil {
		c.verdict = r.refused(StoreFault, "replay store: "+err.Error())
		if !errors.Is(err, fs.ErrExist) {
			return false
		}
		used = err.Error()
		c.verdict.Outcome, c.verdict.Reason = Replay, used
	}
	v.known.add(c.sum, &seen{match: r.matches[0], stamp: r.msg.Time, used: used})
	return err == nil
}

// merge keeps the decision that says most: of several of one kind the first.
func (v *Verdict) merge(o Verdict) {
	if o.Outcome > v.Outcome {
		v.Outcome, v.Reason, v.Late, v.Door, v.Client = o.Outcome, o.Reason, o.Late, o.Door, o.Client
	}
}

// examine opens the packet with these keys, at most once a round.
func (s *keyState) examine(payload []byte, sign *signature, round uint64) bool {
	if s.round == round {
		return s.found
	}
	s.round, s.found, s.err = round, false, nil
	if !s.authentic(payload, sign) {
		return false
	}
	body, err := s.decode(payload)
	if err == nil {
		s.msg, err = parseMessage(body)
		s.token = sha256.Sum256(body)
	}
	s.err = err
	// Without an HMAC, what does not decrypt is a stranger's.
	s.found = err == nil || s.mac != nil
	return s.found
}

func tooOld(stamp, now time.Time, limit time.Duration) bool {
	return now.Unix()-stamp.Unix() > int64(limit/time.Second)
}

// untimely returns what is wrong with a packet's age, in words, or "".
func untimely(stamp, now time.Time, limit time.Duration) string {
	switch late := now.Unix() - stamp.Unix(); {
	case late > int64(limit/time.Second):
		return fmt.Sprintf("%d s too old (limit %d s), check the clocks", late, limit/time.Second)
	case -late > int64(limit/time.Second):
		return fmt.Sprintf("%d s too early (limit %d s), check the clocks", -late, limit/time.Second)
	}
	return ""
}

// Refuse returns the decision on a request that cannot be admitted.
func (r *Request) Refuse(reason string) Verdict { return r.refused(Denied, reason) }

func (r *Request) refused(v Outcome, reason string) Verdict {
	first := r.matches[0]
	return Verdict{Outcome: v, Src: r.src, Dst: r.dst, Door: first.door.DoorID, Client: first.client.Name, Reason: reason}
}

// Admit waits until it is safe on disk that the request is used, and asks the
// doors' policies, in file order; the first that agrees opens.
func (v *Verifier) Admit(r *Request, now time.Time) Verdict {
	if err := r.safe(); err != nil {
		return r.refused(StoreFault, "replay store: "+err.Error())
	}
	d := r.refused(Denied, "")
	for _, m := range r.matches {
		opening, err := m.door.judge(r, now)
		if err == nil {
			d.Outcome, d.Reason, d.Grant = Opened, "", opening
			d.By, d.Door, d.Client = m.door, m.door.DoorID, m.client.Name
			return d
		}
		if d.Reason == "" {
			d.Reason = err.Error()
		}
	}
	return d
}
