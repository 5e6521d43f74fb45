package capture

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/event"
	"knockd/internal/netstate"
)

// Followed is a Live whose interfaces are named. It follows them as they come
// and go, are renamed or made anew, and the default route as it moves.
type Followed struct {
	names   []string
	log     func(event.Event)
	changes chan Listening
	done    chan struct{}
	ended   chan struct{}
	retry   retry // of Next

	mu        sync.Mutex // guards what follows
	live      *Live
	spec      FilterSpec
	now       Listening
	wasActive bool
	dropped   uint64 // by sockets that are closed
	closed    bool
}

// watch is netstate.Watch; tests put in its place one that fails.
var watch = netstate.Watch

// Follow listens for what is wanted on the named interfaces: those that there
// are; the others are waited for. Any among the names stands for all
// interfaces, DefaultRoute for that of the default route. The log function is
// told of what fails and is tried again. An error means that it could not be
// tried at all, for want of a privilege most likely.
func Follow(names []string, w *FilterSpec, log func(event.Event)) (*Followed, error) {
	f := &Followed{
		names: names, log: log, spec: *w,
		changes: make(chan Listening, 1), done: make(chan struct{}), ended: make(chan struct{}),
	}
	live, err := Listen(f.name(), w, log)
	if err != nil {
		return nil, err
	}
	f.live = live
	watcher, state, err := watch(slices.Contains(names, DefaultRoute))
	if err != nil {
		live.Close()
		return nil, err
	}
	failed := f.apply(state)
	if failed != nil {
		log(event.CaptureFailed{Err: failed})
	}
	go f.run(watcher, state, failed != nil)
	return f, nil
}

func (f *Followed) name() string { return strings.Join(f.names, ", ") }

// Now returns what is listened on, with the news since the beginning.
func (f *Followed) Now() Listening {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// Changes returns a channel of what is listened on after each change. What was
// not yet received is replaced by what comes after, which then tells the news
// of both.
func (f *Followed) Changes() <-chan Listening { return f.changes }

// WasActive reports whether there ever was an interface to listen on.
func (f *Followed) WasActive() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wasActive
}

// SetFilter says what is wanted from now on; see Live.SetFilter.
func (f *Followed) SetFilter(w *FilterSpec) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spec = *w
	return f.live.SetFilter(w)
}

// HasDrops reports whether Drops has something new to tell; see Live.HasDrops.
func (f *Followed) HasDrops() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.live.HasDrops()
}

// Drops returns how many wanted packets the kernel has dropped since Follow;
// see Live.Drops.
func (f *Followed) Drops() (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.live.Drops()
	return f.dropped + n, err
}

// Next implements Source. A capture that fails is begun again: this is tried
// until it succeeds or the Followed is closed.
func (f *Followed) Next() ([]Captured, error) {
	for {
		f.mu.Lock()
		live := f.live
		f.mu.Unlock()
		batch, err := live.Next()
		if err == nil {
			f.retry.succeeded()
			return batch, nil
		}
		if !f.reopen(err) {
			return nil, os.ErrClosed
		}
	}
}

// reopen makes a new socket in place of one that failed. It returns false
// when the Followed is closed.
func (f *Followed) reopen(err error) bool {
	for err != nil {
		if !f.giveUp() || !f.retry.wait(f.done, func() { f.log(event.CaptureFailed{Err: err}) }) {
			return false
		}
		err = f.renew()
	}
	return true
}

// giveUp closes a socket that failed. It returns false when the Followed is closed.
func (f *Followed) giveUp() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n, err := f.live.Drops(); err == nil {
		f.dropped += n
	}
	f.live.Close()
	return !f.closed
}

func (f *Followed) renew() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return os.ErrClosed
	}
	live, err := Listen(f.name(), &f.spec, f.log)
	if err != nil {
		return err
	}
	f.live = live
	return f.bind(f.now.indexes)
}

// bind binds the socket. That an interface is gone is no fault: the watcher
// will tell.
func (f *Followed) bind(indexes []int) error {
	if err := f.live.Bind(indexes); !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}

// Close implements Source.
func (f *Followed) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return os.ErrClosed
	}
	f.closed = true
	close(f.done)
	err := f.live.Close()
	f.mu.Unlock()
	<-f.ended
	return err
}

// run follows the interfaces until the Followed is closed.
func (f *Followed) run(w *netstate.Watcher, state *netstate.State, failed bool) {
	defer close(f.ended)
	defer func() { w.Close() }()
	var again retry
	for {
		var timer <-chan time.Time
		if failed {
			timer = time.After(again.pause())
		}
		ok := true
		var s *netstate.State
		select {
		case <-f.done:
			return
		case s, ok = <-w.Changes():
			if ok {
				state = s
			}
		case <-timer:
		}
		if !ok {
			if w, state = f.watchAgain(w); state == nil {
				return
			}
		}
		err := f.apply(state)
		failed = err != nil
		if !failed {
			again.succeeded()
		} else if again.first() {
			f.log(event.CaptureFailed{Err: err})
		}
	}
}

// watchAgain makes a new watcher in place of one that ended by itself. The
// state is nil when the Followed is closed.
func (f *Followed) watchAgain(old *netstate.Watcher) (*netstate.Watcher, *netstate.State) {
	err := old.Err()
	if err == nil {
		err = errors.New("watch the interfaces: it ended")
	}
	var r retry
	for {
		if !r.wait(f.done, func() { f.log(event.CaptureFailed{Err: err}) }) {
			return old, nil
		}
		var w *netstate.Watcher
		var s *netstate.State
		if w, s, err = watch(slices.Contains(f.names, DefaultRoute)); err == nil {
			return w, s
		}
	}
}

// apply listens on what there is.
func (f *Followed) apply(s *netstate.State) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := choose(f.names, s)
	next.News = next.since(&f.now)
	err := f.bind(next.indexes)
	next.Deaf = err != nil
	f.wasActive = f.wasActive || next.Active()
	first := f.now.On == nil && f.now.Missing == nil
	f.now = next
	if !first {
		f.publish(next)
	}
	return err
}

// publish puts what is listened on into the channel.
func (f *Followed) publish(l Listening) {
	select {
	case old := <-f.changes:
		l.News = append(old.News, l.News...)
	default:
	}
	f.changes <- l
}

// The pause before a next try doubles from the least to the most.
const (
	minPause = 100 * time.Millisecond
	maxPause = 30 * time.Second
)

// retry counts tries that fail.
type retry struct{ failures int }

func (r *retry) succeeded() { r.failures = 0 }

// first reports whether this is the first failure after a success.
func (r *retry) first() bool { r.failures++; return r.failures == 1 }

// pause returns how long to wait before the next try.
func (r *retry) pause() time.Duration {
	return min(minPause<<min(max(r.failures-1, 0), 20), maxPause)
}

// wait counts a failure, says the first one and waits for the next try. It
// returns false if done is closed before.
func (r *retry) wait(done <-chan struct{}, say func()) bool {
	if r.first() {
		say()
	}
	select {
	case <-done:
		return false
	case <-time.After(r.pause()):
		return true
	}
}
