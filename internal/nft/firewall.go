package nft

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"knockd/internal/event"
)

// ErrForeign is the cause when the table is not ours to use.
var ErrForeign = errors.New("choose another with nft_table")

// errOwned is ErrForeign when the table's owner lives.
var errOwned = fmt.Errorf("%w", ErrForeign)

// Firewall opens and closes native doors over one lasting netlink connection.
// Its methods may be called from any goroutine.
type Firewall struct {
	opt        Options
	dial       func(netns int) (kernel, error)
	dialEvents func(netns int) (events, error)
	now        func() time.Time
	retryAfter time.Duration // how long to wait before a roll back is tried again

	queue queue // openings that wait for the next transaction

	mu      sync.Mutex // guards what follows, the connection included
	k       kernel
	noOwner bool // the kernel knows no owner of tables, or not for this one
	doors   map[kernelName]*spec
	model   *model // of all modes but set, while there is a door; see use
	record  *record

	trial     *Trial // nil: nothing is on trial
	confirmed bool   // what is on trial is to stay

	coverage atomic.Pointer[coverage] // nil: none

	monitor  *monitor
	rollback rollback
}

// New connects to the kernel. It changes nothing yet.
func New(o Options) (*Firewall, error) { return newFirewall(o, dial, dialEvents) }

func newFirewall(o Options, dial func(int) (kernel, error), dialEvents func(int) (events, error)) (*Firewall, error) {
	o = o.WithDefaults()
	k, err := dial(o.NetNS)
	if err != nil {
		return nil, err
	}
	return &Firewall{
		opt: o, dial: dial, dialEvents: dialEvents, now: time.Now, retryAfter: time.Second,
		k: k, doors: map[kernelName]*spec{}, record: newRecord(),
	}, nil
}

// Close lets go of the connection and leaves the kernel as it is: the guard
// stands, and openings end in their time.
func (f *Firewall) Close() error {
	f.stopMonitor()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.k == nil {
		return nil
	}
	err := f.k.close()
	f.k = nil
	return err
}

var errClosed = errors.New("the native firewall is closed")

// Ensure makes the kernel's rules fit the doors, at start and at each reload:
// openings that are there stay, with their remaining time, unless their door
// is gone; and only what differs is changed, without a moment in which a port
// is less protected than before or an opening lost. Without doors nothing of
// ours remains. It returns what should be looked at.
//
// A door whose ports have changed opens the new ones from now on for those
// for whom it is already open; one whose prefix length has changed, for nobody.
func (f *Firewall) Ensure(doors []Door) (doubts []event.Event, err error) {
	specs, err := newSpecs(&f.opt, doors)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.k == nil {
		return nil, errClosed
	}
	if err := f.watch(); err != nil {
		return nil, err
	}
	if f.opt.Mode.HasTable() {
		err = f.ensureTable(specs)
		doubts = f.owned()
	} else {
		doubts, err = f.ensureSets(specs)
	}
	f.watchTables()
	if err != nil {
		return nil, err
	}
	return doubts, nil
}

// ensureTable is Ensure for all modes but set.
func (f *Firewall) ensureTable(specs []*spec) error {
	if len(specs) == 0 {
		return f.removeTable()
	}
	was, _, err := f.reconcile(specs, nil)
	if err != nil {
		return err
	}
	f.adopt(specs, was)
	return nil
}

// reconcile changes the table until it fits the doors, and returns what it was
// like before the last change and whether anything was changed. It takes two
// or three rounds when the base chain changes (see plan), and more if somebody else
// changes rules meanwhile or the kernel is old. After an error openings are in
// the kernel as they were.
func (f *Firewall) reconcile(specs []*spec, lost func(*tableState) map[string][]nftables.SetElement) (was *tableState, changed bool, err error) {
	for range 20 {
		// The name is ours for as long as we guard with it.
		if was, err = readTable(f.k, f.opt.Table, f.model != nil); err != nil {
			return nil, changed, err
		}
		if err = f.usable(was); errors.Is(err, errOwned) {
			// Of a program that has just ended, or of a connection that we
			// have closed, children may hold the socket for a moment, between
			// fork and exec.
			time.Sleep(25 * time.Millisecond)
			continue
		} else if err != nil {
			return nil, changed, err
		}
		var missing map[string][]nftables.SetElement
		if lost != nil {
			missing = lost(was)
		}
		m := f.design(specs, was)
		p := newPlan(m, was, f.owner(was), missing)
		if len(p.batch) == 0 {
			f.use(m)
			return was, changed, nil
		}
		switch err = f.k.apply(was.generation, p.run); {
		case err == nil && !p.more:
			f.use(m)
			return was, true, nil
		case err == nil:
			changed = true
		case errors.Is(err, unix.ERESTART): // somebody was faster
		case f.owner(was) != 0 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)):
			f.noOwner = true // before Linux 6.9, or a table loaded by nft
		case m.trial != nil && errors.Is(err, unix.ENOENT): // an element's time was over before its end was put right
		case f.opt.Mode.translates && !f.opt.oneLookup && errors.Is(err, unix.EINVAL):
			f.opt.oneLookup = true
		case refused(err):
			return nil, changed, fmt.Errorf("write table %s: %w", f.opt.Table, reason(err))
		default:
			if e := f.reconnect(); e != nil {
				return nil, changed, fmt.Errorf("write table %s: %w", f.opt.Table, errors.Join(reason(err), e))
			}
		}
	}
	if errors.Is(err, errOwned) {
		return nil, changed, err
	}
	return nil, changed, fmt.Errorf("write table %s: others change the rules all the time: %w", f.opt.Table, cmp.Or(err, error(unix.ERESTART)))
}

// owner returns our address if the table is to be owned by us: then nobody
// else can change it or flush it away while we live, and with the flag
// persist it stays when we do not (Linux 6.9).
func (f *Firewall) owner(*tableState) uint32 {
	if f.noOwner {
		return 0
	}
	return f.k.port()
}

// owned says that others can change the table, if they can.
func (f *Firewall) owned() []event.Event {
	if !f.noOwner || f.model == nil {
		return nil
	}
	return []event.Event{event.TableUnowned{Table: f.opt.Table.String()}}
}

// usable says why a table is not ours to use.
func (f *Firewall) usable(was *tableState) error {
	switch {
	case was.table == nil:
		return nil
	case was.table.Owner != 0 && was.table.Owner != f.k.port():
		return fmt.Errorf("table %s belongs to a running program (netlink port %d): %w", f.opt.Table, was.table.Owner, errOwned)
	case !was.ours:
		return fmt.Errorf("table %s is there already and was not made by knockd: %w", f.opt.Table, ErrForeign)
	}
	return nil
}

// adopt enters into the record what the kernel has for these doors. Of doors
// that are no more nothing is left there.
func (f *Firewall) adopt(specs []*spec, was *tableState) {
	now := f.now()
	f.doors, f.record = map[kernelName]*spec{}, newRecord()
	for _, s := range specs {
		f.doors[s.id] = s
		for _, t := range s.targets() {
			for _, e := range was.elements[t.name] {
				if k, ok := s.openingOf(t, e); ok {
					f.put(s, k, t.until(e, now))
				}
			}
		}
	}
}

// openingOf returns the opening that an element stands for.
func (s *spec) openingOf(t *target, e nftables.SetElement) (openingKey, bool) {
	p, proto, port, ok := t.parseKey(e.Key)
	k := openingKey{id: s.id, prefix: p}
	if s.OnePort {
		k.proto, k.port = protocol(proto), port
	}
	if t.nat && ok {
		k.to, ok = t.parseValue(e.Val)
	}
	return k, ok
}

func (f *Firewall) put(s *spec, k openingKey, until time.Time) {
	if _, needs := s.elements(k); len(needs) > 0 {
		f.record.put(k, until, needs)
	}
}

// removeTable takes our table away, if there is one.
func (f *Firewall) removeTable() error {
	was, err := readTable(f.k, f.opt.Table, false)
	if err != nil {
		return err
	}
	f.use(nil)
	f.doors, f.record = map[kernelName]*spec{}, newRecord()
	if was.table == nil || !was.ours {
		return nil
	}
	if err := f.usable(was); err != nil {
		return err
	}
	err = f.k.apply(0, func(c *nftables.Conn) error { c.DelTable(was.table); return nil })
	if err != nil {
		return fmt.Errorf("delete table %s: %w", f.opt.Table, reason(err))
	}
	return nil
}

// reconnect replaces a connection that may be out of step.
func (f *Firewall) reconnect() error {
	f.k.close()
	k, err := f.dial(f.opt.NetNS)
	if err != nil {
		return err
	}
	f.k = k
	f.watchTables()
	return nil
}
