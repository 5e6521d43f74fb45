package eventlog

import (
	"io"
	"time"

	"knockd/internal/event"
)

// Recorder writes the log of what does not happen now: each event comes with a
// time of its own. It loses none, and has whoever makes them wait for who reads.
// Texts are made, and written, by a goroutine of its own.
type Recorder struct {
	batch []Record
	full  chan []Record
	spare chan []Record
	done  chan error
}

// recorded is how many events a Recorder hands over at once.
const recorded = 512

// NewRecorder returns a Recorder that writes lines as a log file has them.
func NewRecorder(w io.Writer) *Recorder {
	r := &Recorder{
		batch: make([]Record, 0, recorded), full: make(chan []Record), spare: make(chan []Record, 2), done: make(chan error, 1),
	}
	r.spare <- make([]Record, 0, recorded)
	go r.write(w)
	return r
}

// Event takes an event.
func (r *Recorder) Event(at time.Time, e event.Event) {
	r.batch = append(r.batch, Record{At: at, Event: e})
	if len(r.batch) == recorded {
		r.Flush()
	}
}

// Flush has all events written that were taken so far, before others come, and
// does not wait for that.
func (r *Recorder) Flush() {
	if len(r.batch) > 0 {
		r.full <- r.batch
		r.batch = <-r.spare
	}
}

// Close writes what is left. The error is that of the first lines that could not
// be written.
func (r *Recorder) Close() error {
	r.Flush()
	close(r.full)
	return <-r.done
}

func (r *Recorder) write(w io.Writer) {
	l := stamped{to: w}
	for batch := range r.full {
		for i := range batch {
			l.event(batch[i].At, batch[i].Event)
		}
		l.flush()
		clear(batch)
		r.spare <- batch[:0]
	}
	r.done <- l.failed
}
