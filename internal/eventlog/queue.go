package eventlog

import (
	"errors"
	"sync"
	"time"
)

// queueLength bounds the events that wait for who takes them slowly.
const queueLength = 1024

// errQueueFull says that an event was lost.
var errQueueFull = errors.New("who takes events does not take them in time")

// queue hands events to a function that may wait, and waits for it no longer than
// is good: beyond its length events are lost.
type queue struct {
	records chan Record
	ended   *sync.WaitGroup
}

func newQueue(write func(*Record) error) queue {
	q := queue{make(chan Record, queueLength), new(sync.WaitGroup)}
	q.ended.Go(func() {
		for r := range q.records {
			_ = write(&r) // nobody to tell: the other sinks have it
		}
	})
	return q
}

// Write implements Sink.
func (q queue) Write(r *Record) error {
	select {
	case q.records <- *r:
		return nil
	default:
		return errQueueFull
	}
}

// Close ends the queue. What is in it is written if that does not take long.
func (q queue) Close() error {
	close(q.records)
	done := make(chan struct{})
	go func() {
		q.ended.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(syslogPatience):
		return errQueueFull
	}
}
