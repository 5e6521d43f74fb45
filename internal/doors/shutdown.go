package doors

import (
	"context"
	"errors"
	"fmt"
	"time"
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

// Shutdown closes every door and returns when that is done, within 60 s, or
// when ctx is over. Start commands that wait are dropped, those that run get
// 15 s; then the stop commands run. It returns how many openings could not be
// closed.
func (m *Manager) Shutdown(ctx context.Context) (left int) {
	ctx, cancel := context.WithTimeout(ctx, shutdownTime-shutdownKill)
	defer cancel()
	patience := time.AfterFunc(shutdownStarts, func() { m.endStarts(errShutdown) })
	defer patience.Stop()
	m.do(func(time.Time) {
		if n := m.s.drain(false, "shutting down"); n > 0 {
			m.s.say(fmt.Sprintf("%d openings dropped before their start command ran: shutting down", n))
		}
	})
	m.await(ctx, func() bool { return len(m.s.held) == 0 })
	m.endStarts(errShutdown)
	m.endStops(errShutdown)
	m.mu.Lock()
	m.timer.Stop()
	m.s.halt()
	m.mu.Unlock()
	m.workers.Wait()
	return m.Pending()
}

// await waits until done, which is called with the lock held, or ctx is over.
func (m *Manager) await(ctx context.Context, done func() bool) {
	for {
		m.mu.Lock()
		ok := done()
		m.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-m.changed:
		case <-ctx.Done():
			return
		}
	}
}
