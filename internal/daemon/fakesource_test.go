package daemon

import (
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"knockd/internal/capture"
)

// fakeSource is a network of the test's own. As the real one it gives nothing
// more once it is closed.
type fakeSource struct {
	packets chan []capture.Captured
	changes chan capture.Listening
	closed  chan struct{}
	once    sync.Once
	filters atomic.Int32 // set so far
	seq     atomic.Uint32
	drops   atomic.Uint64
	told    atomic.Uint64 // of them
	heard   bool
	begins  capture.Listening
}

func newFakeSource() *fakeSource {
	return &fakeSource{
		packets: make(chan []capture.Captured), changes: make(chan capture.Listening, 1), closed: make(chan struct{}),
		heard: true, begins: capture.Listening{On: []string{"eth0"}, Local: []netip.Addr{local4}},
	}
}

func (f *fakeSource) Next() ([]capture.Captured, error) {
	select {
	case p := <-f.packets:
		return p, nil
	case <-f.closed:
		return nil, os.ErrClosed
	}
}

func (f *fakeSource) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

func (f *fakeSource) SetFilter(*capture.FilterSpec) error {
	f.filters.Add(1)
	return nil
}

func (f *fakeSource) Now() capture.Listening            { return f.begins }
func (f *fakeSource) Changes() <-chan capture.Listening { return f.changes }
func (f *fakeSource) WasActive() bool                   { return f.heard }
func (f *fakeSource) HasDrops() bool                    { return f.told.Load() < f.drops.Load() }

func (f *fakeSource) Drops() (uint64, error) {
	f.told.Store(f.drops.Load())
	return f.drops.Load(), nil
}
