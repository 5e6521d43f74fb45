package eventlog

import (
	"math"
	"slices"
	"sync"
	"time"

	"knockd/internal/event"
)

// DefaultRate is how many events a second strangers may cause if the
// configuration (LogRate) says nothing else.
const DefaultRate = 100

// maxQueued bounds the events that wait for a slow disk. Beyond it those that
// strangers cause are left out and counted.
const maxQueued = 8192

// Record is an event with its time.
type Record struct {
	At    time.Time
	Event event.Event
	Text  string // the event's words, made once for all sinks

	move *move // in place of an event
}

// NewRecord returns an event with its time.
func NewRecord(at time.Time, e event.Event) *Record { return &Record{At: at, Event: e, Text: e.Text()} }

// Sink is a place that takes events. It is called by one goroutine at a time.
type Sink interface{ Write(*Record) error }

// move is a change of outputs, between two events.
type move struct {
	to    Outputs
	moved func()
}

// Log takes events from any goroutine and never makes the caller wait for a
// disk. The zero value is not ready; see New.
type Log struct {
	now func() time.Time

	mu      sync.Mutex
	taps    []Tap
	wake    *sync.Cond
	queue   []Record
	writing int // records that the writer has taken from the queue
	closed  bool
	done    chan struct{}
	limit   limiter
	summing bool // summarize will be called
}

// Tap is told of each event when it happens, whoever is to read of it: also while
// a disk is slow. It must be quick and must not call the Log.
type Tap func(*Record)

// Outputs is where events go, by their Audience; a nil Sink takes none.
type Outputs struct {
	Log      Sink // the log proper
	Verbose  Sink // what -v shows besides
	Terminal Sink // warnings, besides
	Debug    Sink // what is said to those who watch, and not logged
	// Programs get every event but what is said for -v and -D alone.
	Programs []Sink
}

// New returns a Log that limits what strangers cause to rate events a second.
func New(out Outputs, rate int) *Log {
	l := &Log{now: time.Now, done: make(chan struct{}), limit: limiter{rate: rate}}
	l.wake = sync.NewCond(&l.mu)
	go l.write(out)
	return l
}

// Allows reports whether one more limited event may be written now; then it is
// to be given to Event. Otherwise it is counted as left out, and needs not be
// made: a flood costs no memory and no text.
func (l *Log) Allows() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	ok, tell := l.limit.take(now)
	l.tell(now, tell)
	if ok && l.full() {
		l.limit.miss()
		ok = false
	}
	if !ok && !l.summing {
		l.summing = true
		time.AfterFunc(time.Second, l.summarize)
	}
	return ok
}

// Event writes an event to those who are to read it. One for event.Debug is
// left out while they do not read. For a limited one ask Allows before.
func (l *Log) Event(e event.Event) {
	r := NewRecord(time.Time{}, e)
	l.mu.Lock()
	defer l.mu.Unlock()
	r.At = l.now()
	l.tapped(r)
	switch to := e.Audience(); {
	case to == event.Debug && l.full():
		return
	case to&event.Limited != 0:
		l.limit.spend(r.At, r.Text)
	}
	l.append(*r)
}

func (l *Log) tapped(r *Record) {
	for _, tap := range l.taps {
		tap(r)
	}
}

// Tap has a Tap told of what happens from now on.
func (l *Log) Tap(tap Tap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taps = append(l.taps, tap)
}

// tell writes an event about those left out, if there is one.
func (l *Log) tell(now time.Time, e event.Event) {
	if e != nil {
		r := NewRecord(now, e)
		l.tapped(r)
		l.append(*r)
	}
}

// full reports whether as many events wait for a slow disk as may while some
// can be left out. The lock is held.
func (l *Log) full() bool { return len(l.queue)+l.writing >= maxQueued }

// summarize writes the number of events left out, once nobody has for a second,
// or later when it is not time to tell.
func (l *Log) summarize() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.tell(now, l.limit.summary(now))
	if l.summing = l.limit.missed > 0 && !l.closed; l.summing {
		time.AfterFunc(time.Second, l.summarize)
	}
}

// SetRate changes the limit for what strangers cause.
func (l *Log) SetRate(rate int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit.rate = rate
}

// SetOutputs changes where lines go, once all earlier events are written. Then
// moved is called, which may close the old outputs. It does not wait for that.
func (l *Log) SetOutputs(out Outputs, moved func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(Record{move: &move{out, moved}})
}

// Flush waits until all events so far are written, however long that takes.
func (l *Log) Flush() { l.FlushWithin(math.MaxInt64) }

// FlushWithin waits until all events so far are written, but no longer than
// limit.
func (l *Log) FlushWithin(limit time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	over := false
	timer := time.AfterFunc(limit, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		over = true
		l.wake.Broadcast()
	})
	defer timer.Stop()
	for len(l.queue)+l.writing > 0 && !over {
		l.wake.Wait()
	}
}

// closeLimit is how long Close waits for who does not take what is written.
const closeLimit = 3 * time.Second

// Close writes what is left and ends the Log; later events are lost. So are
// those that nobody has taken within three seconds: nobody may read our
// standard output, and a daemon that was told to end has to.
func (l *Log) Close() {
	l.mu.Lock()
	l.tell(l.now(), l.limit.flush())
	l.closed = true
	l.wake.Broadcast()
	l.mu.Unlock()
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case <-l.done:
	case <-limit.C:
	}
}

func (l *Log) append(r Record) {
	if l.closed {
		return
	}
	l.queue = append(l.queue, r)
	l.wake.Broadcast()
}

// write is the goroutine that alone touches the sinks.
func (l *Log) write(out Outputs) {
	defer close(l.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	var spare []Record
	for {
		for len(l.queue) == 0 && !l.closed {
			l.wake.Wait()
		}
		if len(l.queue) == 0 {
			return
		}
		batch := l.queue
		l.queue, l.writing = spare, len(batch)
		l.mu.Unlock()
		out = out.write(batch)
		spare = emptied(batch)
		l.mu.Lock()
		l.writing = 0
		l.wake.Broadcast()
	}
}

// emptied returns the memory of a batch for another one, unless it is much.
func emptied(batch []Record) []Record {
	if cap(batch) > maxQueued {
		return nil
	}
	clear(batch)
	return batch[:0]
}

// write carries out a batch, in order, and returns the outputs from then on.
func (o Outputs) write(batch []Record) Outputs {
	for len(batch) > 0 {
		n := slices.IndexFunc(batch, func(r Record) bool { return r.move != nil })
		if n < 0 {
			n = len(batch)
		}
		o.records(batch[:n])
		if batch = batch[n:]; len(batch) > 0 {
			m := batch[0].move
			o = m.to
			m.moved()
			batch = batch[1:]
		}
	}
	return o
}

// records gives each event to those who are to read it. A sink that fails has
// nobody to tell, and a full disk must not stop the daemon.
func (o Outputs) records(batch []Record) {
	if file, ok := o.Log.(*File); ok {
		_ = file.writeAll(batch)
		o.Log = nil
	}
	for i := range batch {
		to := batch[i].Event.Audience()
		for k, sink := range [...]Sink{o.Log, o.Verbose, o.Terminal, o.Debug} {
			if sink != nil && to&(1<<k) != 0 {
				_ = sink.Write(&batch[i])
			}
		}
		for _, sink := range o.Programs {
			if to != event.Debug {
				_ = sink.Write(&batch[i])
			}
		}
	}
}
