package openings

import (
	"context"
	"errors"
	"time"

	"knockd/internal/event"
)

// How long a shutdown may take. A command that has been told to end has five
// seconds for it, so that all is over after shutdownTime.
const (
	shutdownStarts = 15 * time.Second // for start commands that run
	shutdownTime   = 60 * time.Second // for everything
	shutdownKill   = 5 * time.Second
)

// errShutdown is why a command is ended.
var errShutdown = errors.New("shutting down")

// SetKeep changes Options.Keep, after a reload.
func (m *Manager) SetKeep(keep bool) {
	m.mu.Lock()
	m.o.Keep = keep
	m.mu.Unlock()
	if m.o.Journal != nil {
		m.o.Journal.SetKeep(keep)
	}
}

// Shutdown closes every door and returns when that is done, within 60 s, or
// when ctx is over. Start commands that wait are dropped, those that run get
// 15 s; then the stop commands run. With Options.Keep it closes nothing, and
// waits for what runs. It returns how many openings are left that should have
// been closed; the journal still has them.
func (m *Manager) Shutdown(ctx context.Context) (left int) {
	m.mu.Lock()
	keep := m.o.Keep && m.o.Journal != nil && m.o.Journal.Reliable()
	m.mu.Unlock()
	return m.shutdown(ctx, keep, errShutdown.Error())
}

func (m *Manager) shutdown(ctx context.Context, keep bool, why string) (left int) {
	ctx, cancel := context.WithTimeout(ctx, shutdownTime-shutdownKill)
	defer cancel()
	patience := time.AfterFunc(shutdownStarts, func() { m.endStarts(errShutdown) })
	defer patience.Stop()
	m.do(func() {
		if n := m.s.drain(keep, why); n > 0 {
			m.s.say(event.AllDropped{Openings: n})
		}
	})
	m.await(ctx, func() bool {
		return len(m.s.held) == 0 || keep && !m.s.busy()
	})
	m.endStarts(errShutdown)
	m.endStops(errShutdown)
	m.mu.Lock()
	m.timer.Stop()
	m.s.halt()
	m.mu.Unlock()
	m.workers.Wait()
	m.timer.Stop() // a worker may have set it
	if keep {
		return 0
	}
	return m.Pending()
}

// await waits until done, which is called with the lock held, or ctx is over.
func (m *Manager) await(ctx context.Context, done func() bool) {
	for {
		m.mu.Lock()
		if done() {
			m.mu.Unlock()
			return
		}
		changed := make(chan struct{})
		m.awaited = append(m.awaited, changed)
		m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
