package eventlog

import (
	"math"
	"slices"
	"sync"
	"time"
)

// DefaultRate is how many lines a second strangers may cause if the
// configuration (LogRate) says nothing else.
const DefaultRate = 100

// maxQueued bounds the lines that wait for a slow disk. Beyond it the lines
// that strangers cause are left out and counted.
const maxQueued = 8192

// Sink is a place that takes lines. It is called by one goroutine at a time.
type Sink interface {
	WriteLine(at time.Time, text string) error
}

// audience says who is to read a line.
type audience uint8

const (
	toLog      audience = 1 << iota // the log: file, syslog or standard error
	toVerbose                       // standard output, with -v
	toTerminal                      // standard error, beside the log
	toWatchers                      // standard output, and nowhere else
)

type line struct {
	at   time.Time
	text string
	to   audience
	move *move // in place of a line
}

// move is a change of outputs, between two lines.
type move struct {
	to    Outputs
	moved func()
}

// Log takes lines from any goroutine and never makes the caller wait for a
// disk. The zero value is not ready; see New.
type Log struct {
	now func() time.Time

	mu      sync.Mutex
	wake    *sync.Cond
	queue   []line
	writing int // lines that the writer has taken from the queue
	closed  bool
	done    chan struct{}
	limit   limiter
	summing bool // summarize will be called
}

// Outputs is where lines go; a nil Sink takes none.
type Outputs struct {
	Log      Sink // the log proper
	Verbose  Sink // what -v shows besides
	Terminal Sink // warnings, besides
	Watchers Sink // what is said to those who watch, and not logged
}

// New returns a Log that limits the lines of strangers to rate a second.
func New(out Outputs, rate int) *Log {
	l := &Log{now: time.Now, done: make(chan struct{}), limit: limiter{rate: rate}}
	l.wake = sync.NewCond(&l.mu)
	go l.write(out)
	return l
}

// Log writes a line that is never left out.
func (l *Log) Log(text string) { l.put(text, toLog|toVerbose) }

// Quiet writes a line that -v does not show.
func (l *Log) Quiet(text string) { l.put(text, toLog) }

// Warn writes a line to the log and to standard error.
func (l *Log) Warn(text string) { l.put(text, toLog|toTerminal) }

// Chat says something to those who watch (Outputs.Watchers), between the lines
// that they see. It is not logged, and left out while they do not read.
func (l *Log) Chat(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.full() {
		l.append(line{at: l.now(), text: text, to: toWatchers})
	}
}

// Stranger writes a line that anybody who can send a packet can cause: beyond
// the rate it is left out, and one line says how many were.
func (l *Log) Stranger(text string) { l.StrangerFunc(func() string { return text }) }

// StrangerFunc is Stranger for a text that is made only if the line is
// written. The function must not use the Log.
func (l *Log) StrangerFunc(text func() string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	ok, tell := l.limit.take(now)
	l.tell(now, tell)
	if ok && l.full() {
		l.limit.miss()
		ok = false
	}
	if ok {
		n := line{at: now, text: text(), to: toLog | toVerbose}
		l.limit.spend(now, n.text)
		l.append(n)
	} else if !l.summing {
		l.summing = true
		time.AfterFunc(time.Second, l.summarize)
	}
}

// tell writes a line about lines left out, if there is one.
func (l *Log) tell(now time.Time, text string) {
	if text != "" {
		l.append(line{at: now, text: text, to: toLog | toVerbose})
	}
}

// full says whether more lines wait for a slow disk than those must that can
// be left out. The lock is held.
func (l *Log) full() bool { return len(l.queue)+l.writing >= maxQueued }

// summarize writes the number of lines left out, once nobody has for a second,
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

// SetRate changes the limit for strangers' lines.
func (l *Log) SetRate(rate int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit.rate = rate
}

// SetOutputs changes where lines go, once all earlier lines are written. Then
// moved is called, which may close the old outputs. It does not wait for that.
func (l *Log) SetOutputs(out Outputs, moved func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(line{move: &move{out, moved}})
}

// Flush waits until all lines so far are written, however long that takes.
func (l *Log) Flush() { l.FlushWithin(math.MaxInt64) }

// FlushWithin waits until all lines so far are written, but no longer than
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

// Close writes what is left and ends the Log; later lines are lost. So are
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

func (l *Log) put(text string, to audience) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(line{at: l.now(), text: text, to: to})
}

func (l *Log) append(n line) {
	if l.closed {
		return
	}
	l.queue = append(l.queue, n)
	l.wake.Broadcast()
}

// write is the goroutine that alone touches the sinks.
func (l *Log) write(out Outputs) {
	defer close(l.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	var spare []line
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
func emptied(batch []line) []line {
	if cap(batch) > maxQueued {
		return nil
	}
	clear(batch)
	return batch[:0]
}

// write carries out a batch, in order, and returns the outputs from then on.
func (o Outputs) write(batch []line) Outputs {
	for len(batch) > 0 {
		n := slices.IndexFunc(batch, func(n line) bool { return n.move != nil })
		if n < 0 {
			n = len(batch)
		}
		o.lines(batch[:n])
		if batch = batch[n:]; len(batch) > 0 {
			m := batch[0].move
			o = m.to
			m.moved()
			batch = batch[1:]
		}
	}
	return o
}

// lines gives each line to those who are to read it. A sink that fails has
// nobody to tell, and a full disk must not stop the daemon.
func (o Outputs) lines(batch []line) {
	if file, ok := o.Log.(*File); ok {
		_ = file.writeLines(batch)
		o.Log = nil
	}
	for _, n := range batch {
		for i, sink := range [...]Sink{o.Log, o.Verbose, o.Terminal, o.Watchers} {
			if sink != nil && n.to&(1<<i) != 0 {
				_ = sink.WriteLine(n.at, n.text)
			}
		}
	}
}
