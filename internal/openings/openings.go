package openings

import (
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/openings/journal"
)

// Log takes what happens.
type Log interface{ Event(event.Event) }

// Journal is what remembers openings beyond the daemon's end: a
// *journal.Journal.
type Journal interface {
	// Path names it, and with a number an opening of it.
	Path() string
	// SetClock and SetLog tell it the Manager's clock and log.
	SetClock(now func() time.Time)
	SetLog(log func(event.Event))

	// Found is what daemons before this one have left, the oldest first, LastID
	// the last number that they gave, and Damaged how many records nobody can
	// read.
	Found() []journal.Opening
	LastID() uint64
	Damaged() int

	// Begin is called before a start command runs, Opened when it has ended;
	// Stopping before a stop command runs, Failed when it says that it did not
	// close; Ended when nothing is left to do.
	Begin(id uint64, o knock.Opening)
	Opened(id uint64)
	Stopping(id uint64)
	Failed(id uint64)
	Ended(id uint64)

	// Keep is what the last SetKeep said, of whatever daemon: whether openings
	// are left open when it stops.
	Keep() bool
	SetKeep(keep bool)
	// Reliable reports whether all of this can be read by the next daemon.
	Reliable() bool
}
