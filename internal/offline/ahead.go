package offline

import (
	"sync"

	"knockd/internal/capture"
)

// ahead reads a source in a goroutine of its own, a little further than what is
// decided on. What it returns does not become invalid when the source goes on:
// of a capture file only the slice does.
type ahead struct {
	mu    sync.Mutex
	moved sync.Cond
	load  load
	err   error // the source's last, once there is one
}

// load is batches, one behind the other.
type load struct {
	packets []capture.Captured
	ends    []int // of the batches
	octets  int   // of their payloads
}

// Bounds of what is read but not decided on; one more batch may come.
const (
	maxPackets = 1024
	maxOctets  = 1 << 20
)

func (l *load) full() bool { return len(l.packets) >= maxPackets || l.octets >= maxOctets }

func (l *load) add(batch []capture.Captured) {
	l.packets = append(l.packets, batch...)
	l.ends = append(l.ends, len(l.packets))
	for i := range batch {
		l.octets += len(batch[i].Payload)
	}
}

// emptied returns the load without what was in it, for other batches.
func (l *load) emptied() load {
	clear(l.packets)
	return load{packets: l.packets[:0], ends: l.ends[:0]}
}

func readAhead(source capture.Source) *ahead {
	a := &ahead{}
	a.moved.L = &a.mu
	go func() {
		for a.read(source) {
		}
	}()
	return a
}

// read takes one batch, and reports whether there may be more.
func (a *ahead) read(source capture.Source) bool {
	batch, err := source.Next()
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.load.full() {
		a.moved.Wait()
	}
	if a.err = err; err == nil {
		a.load.add(batch)
	}
	a.moved.Broadcast()
	return err == nil
}

// next returns what was read meanwhile, in exchange for an empty load. Before it
// waits for the source it calls idle. At the end there is an error, and nothing
// with it.
func (a *ahead) next(spare load, idle func()) (load, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for waited := false; len(a.load.ends) == 0 && a.err == nil; waited = true {
		if waited {
			a.moved.Wait()
			continue
		}
		a.mu.Unlock()
		idle()
		a.mu.Lock()
	}
	if len(a.load.ends) == 0 {
		return spare, a.err
	}
	full := a.load
	a.load = spare
	a.moved.Broadcast()
	return full, nil
}
