package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
)

// protocol returns the protocol of a key.
func protocol(n uint8) knock.Protocol { return knock.Protocol(n) }

// request is one opening on its way to the kernel.
type request struct {
	Element
	spec    *spec
	key     openingKey
	target  *target
	needs   []setKey
	until   time.Time
	started bool // the record has it already: an extension
	done    bool
	open    Element
	err     error
}

// queue gathers requests while a transaction is under way, so that many at
// once need few of them.
type queue struct {
	mu   sync.Mutex
	wait []*request
}

func (q *queue) push(r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wait = append(q.wait, r)
}

func (q *queue) take() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.wait
	q.wait = nil
	return all
}

// Open opens a door for an address and returns when the kernel has it. If the
// door is open for it already, it stays open for the longer of the two times.
// Openings that are asked for at the same time share a transaction. After an
// error the door is not open, or as it was before.
func (f *Firewall) Open(o Element) (Element, error) {
	r := &request{Element: o}
	f.queue.push(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !r.done {
		f.openAll(f.queue.take())
	}
	return r.open, r.err
}

// maxBatch is how many openings go into one transaction: three messages of
// them fit the socket's buffer also where it cannot be enlarged.
const maxBatch = 512

func (f *Firewall) openAll(all []*request) {
	for len(all) > 0 {
		n := min(len(all), f.batchSize())
		f.openBatch(all[:n])
		all = all[n:]
	}
}

// openBatch opens what can be opened in one transaction. If that is refused,
// each has one of its own, so that the fault of one is not another's.
func (f *Firewall) openBatch(all []*request) {
	now := f.now()
	f.purge(now)
	f.rollBack()
	var good []*request
	for _, r := range all {
		r.done = true
		if r.err = f.prepare(r, now); r.err == nil {
			good = append(good, r)
		}
	}
	err := f.displace(good)
	if err == nil {
		err = f.send(good, now)
	}
	if err == nil {
		return
	}
	if len(good) == 1 {
		good[0].fail(err)
		return
	}
	for _, r := range good {
		if err := f.send([]*request{r}, now); err != nil {
			r.fail(err)
		}
	}
}

func (r *request) fail(err error) {
	r.open, r.err = Element{}, fmt.Errorf("open door %s for %s: %w", r.Door.Name, r.Addr, reason(err))
}

// prepare finds out what a request means in the kernel.
func (f *Firewall) prepare(r *request, now time.Time) error {
	r.Addr = r.Addr.Unmap().WithZone("")
	fault := func(text string) error {
		return fmt.Errorf("open door %s for %s: %s", r.Door.Name, r.Addr, text)
	}
	if f.k == nil {
		return fmt.Errorf("open door %s for %s: %w", r.Door.Name, r.Addr, errClosed)
	}
	r.spec = f.doors[newKernelName(r.Door)]
	switch {
	case r.spec == nil:
		return fault("there is no such native door")
	case !r.Addr.IsValid():
		return fault("not an address")
	case r.Timeout < 0 || r.Timeout > 0 && r.Timeout < time.Second:
		return fault("the time must be at least a second")
	case r.spec.OnePort && !r.spec.mayOpen(knock.PortRange{Proto: r.Proto, First: r.Port, Last: r.Port}):
		return fault("the door does not open this port")
	case f.opt.Mode.translates != validTarget(r.To, r.Addr):
		return fault(fmt.Sprintf("it cannot lead to %v", r.To))
	}
	r.key = r.spec.keyOf(r.Addr, r.Element)
	if r.target, r.needs = r.spec.elements(r.key); r.target == nil {
		return fault("no set is configured for this IP version")
	}
	if r.Timeout != 0 && r.target.untimed {
		return fault("the set's elements cannot have a time limit; add to it: flags timeout;")
	}
	r.until, r.started = f.extend(r, now)
	r.open = r.spec.open(r.key, r.until, now)
	return nil
}

// keyOf names the opening of a door for an address.
func (s *spec) keyOf(a netip.Addr, o Element) openingKey {
	k := openingKey{id: s.id}
	if t := s.targetOf(a); t != nil {
		k.prefix, _ = a.Prefix(t.bits)
	}
	if s.OnePort {
		k.proto, k.port, k.to = o.Proto, o.Port, o.To
	}
	return k
}

// extend returns until when the door will be open: never shorter than it is.
func (f *Firewall) extend(r *request, now time.Time) (until time.Time, started bool) {
	timeout := r.Timeout
	if timeout == 0 {
		timeout = r.spec.Timeout
	}
	until = forever
	if timeout > 0 {
		until = now.Add(timeout)
	}
	if have, ok := f.record.until[r.key]; ok && have.After(now) {
		started = true
		if have.After(until) {
			until = have
		}
	}
	return until, started
}

// send writes openings in one transaction and enters them into the record.
func (f *Firewall) send(all []*request, now time.Time) error {
	if len(all) == 0 {
		return nil
	}
	for range 3 {
		generation, free, err := f.notOthers(all)
		if err != nil {
			return err
		}
		err = f.try(generation, f.additions(all, free, now))
		if errors.Is(err, unix.ERESTART) { // the host's sets have changed since we looked
			continue
		}
		if err != nil {
			f.noteDoubtful(all, err)
			return err
		}
		for _, r := range all {
			f.record.put(r.key, r.until, r.needs)
		}
		return nil
	}
	return unix.ERESTART
}

// additions returns the steps that make elements last until their time. A
// plain add of an element that is there refreshes nothing, and the delete of
// one that is not there fails; so it is add, delete, add.
func (f *Firewall) additions(all []*request, free func(setKey) bool, now time.Time) batch {
	var order []*target
	lists := map[knock.SetName][]nftables.SetElement{}
	at := map[setKey]int{}
	ends := map[setKey]time.Time{}
	for _, r := range all {
		for _, e := range r.needs {
			if !free(e) {
				continue
			}
			if lists[e.set] == nil {
				order = append(order, r.target)
			}
			i, again := at[e]
			if !again {
				i, at[e] = len(lists[e.set]), len(lists[e.set])
				lists[e.set] = append(lists[e.set], nftables.SetElement{})
			}
			// Others may need it longer.
			by, end := r.key, r.until
			if k, until := f.record.holder(e, r.key); until.After(end) {
				by, end = k, until
			}
			if end.After(ends[e]) {
				ends[e] = end
				lists[e.set][i] = f.marked(by, e, left(end, now))
			}
		}
	}
	var b batch
	for _, t := range order {
		b = append(b, refresh(t.nf(), lists[knock.SetName{Table: t.table, Name: t.name}])...)
	}
	return b
}

// refresh: add, delete, add.
func refresh(set *nftables.Set, elements []nftables.SetElement) batch {
	add := func(c *nftables.Conn) error { return c.SetAddElements(set, elements) }
	del := func(c *nftables.Conn) error { return c.SetDeleteElements(set, bare(elements)) }
	return batch{add, del, add}
}

// bare returns the elements' keys alone, as a delete wants them.
func bare(elements []nftables.SetElement) []nftables.SetElement {
	keys := make([]nftables.SetElement, len(elements))
	for i, e := range elements {
		keys[i].Key = e.Key
	}
	return keys
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// comment marks elements in sets of others.
func (f *Firewall) comment(id kernelName) string {
	if f.opt.Mode.HasTable() {
		return ""
	}
	return id.comment()
}

// try applies a batch that may be repeated. Once more it does so with a new
// connection, if the old one is in doubt, or after our table has been put
// back, if it was gone.
func (f *Firewall) try(generation uint32, b batch) error {
	if len(b) == 0 {
		return nil
	}
	err := f.k.apply(generation, b.run)
	inDoubt := err != nil && !refused(err)
	switch {
	case err == nil:
		return nil
	case inDoubt:
		if e := f.reconnect(); e != nil {
			return &doubtful{errors.Join(err, e)}
		}
		generation = 0
	case errors.Is(err, unix.ENOENT) && f.model != nil:
	default:
		return err
	}
	if f.model != nil {
		// A new connection must own the table, and what is gone be there.
		if _, e := f.repair(true); e != nil {
			return doubt(inDoubt, errors.Join(err, e))
		}
	}
	err = f.k.apply(generation, b.run)
	return doubt(inDoubt || err != nil && !refused(err), err)
}

// doubtful is an error after which a batch may have been applied or not.
type doubtful struct{ error }

func (d *doubtful) Unwrap() error { return d.error }

func doubt(inDoubt bool, err error) error {
	if err != nil && inDoubt {
		return &doubtful{err}
	}
	return err
}

// purge forgets openings that the kernel has ended.
func (f *Firewall) purge(now time.Time) {
	if len(f.record.until) < f.record.purgeAt {
		return
	}
	for k, end := range f.record.until {
		if end.After(now) {
			continue
		}
		var needs []setKey
		if s := f.doors[k.id]; s != nil {
			_, needs = s.elements(k)
		}
		f.record.drop(k, needs)
	}
	f.record.purgeAt = max(1024, 2*len(f.record.until))
}
