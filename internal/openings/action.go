package openings

import (
	"context"
	"errors"
	"fmt"
	"time"

	"knockd/internal/knock"
)

// Action is one way to open and close doors. Whatever it needs to know of an
// opening are the opening's arguments, which a later daemon has from the journal.
type Action interface {
	// Traits says how openings of it are kept.
	Traits() knock.Traits
	// Check says why what these arguments name cannot be opened on this host.
	Check(args knock.Arguments) error
	// Needs returns the set of capabilities, as bits of capabilities(7), that
	// opening and closing take; all of them if nobody can know.
	Needs(args knock.Arguments) uint64
	// Text says in the log what an opening opens: "tcp/22".
	Text(o *knock.Opening) string

	// Open opens the door for o.Addr. Close closes it; it is called when o.Timeout
	// is over too, even if the kernel has closed it by itself, and by a later
	// daemon; that nothing is open is no error. Close and, unless the action runs
	// programs, Open get at most StopLimit. Both may be called from several
	// goroutines at once, but never for the same opening. Status is counted as a
	// shell counts it; an error says that what was to be done could not be done,
	// or was ended because of ctx. With the status -1 nothing of it was done.
	Open(ctx context.Context, o *knock.Opening) (status int, err error)
	Close(ctx context.Context, o *knock.Opening) (status int, err error)
}

// Processes is an Action, too, whose programs a dead daemon may have left running.
type Processes interface {
	Action
	// Running returns those that still open or close openings with these marks,
	// by the marks.
	Running(marks []string) map[string]int
	// Await waits for the end of one of them, and ends it when ctx is over.
	Await(ctx context.Context, pid int) (status int, err error)
}

// StopLimit is how long closing may take.
const StopLimit = 60 * time.Second

// errLimit is why a program is ended that runs for too long.
var errLimit = errors.New("time limit reached")

// within bounds a context; 0 does not.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, limit, errLimit)
}

// missing stands for an action that nobody here has: of a journal of another
// build.
type missing string

func (missing) Traits() knock.Traits         { return knock.Traits{} }
func (missing) Check(knock.Arguments) error  { return nil }
func (missing) Needs(knock.Arguments) uint64 { return 0 }
func (missing) Text(o *knock.Opening) string { return o.What }
func (m missing) Open(context.Context, *knock.Opening) (int, error) {
	return 0, m.fault()
}

func (m missing) Close(context.Context, *knock.Opening) (int, error) {
	return 0, m.fault()
}

func (m missing) fault() error {
	return fmt.Errorf("nothing here closes openings of kind %q", string(m))
}

// open opens e.
func (m *Manager) open(e *entry) Result {
	limit := StopLimit
	if e.traits.Runs {
		limit = e.Args.StartLimit
	}
	ctx, cancel := within(m.starts, limit)
	defer cancel()
	status, err := e.action.Open(ctx, m.marked(e))
	return Result{status, err}
}

// close closes e.
func (m *Manager) close(e *entry) Result {
	ctx, cancel := within(m.stops, StopLimit)
	defer cancel()
	status, err := e.action.Close(ctx, m.marked(e))
	return Result{status, err}
}

// awaitProcess waits for the program of another daemon that opens or closes e.
func (m *Manager) awaitProcess(ctx context.Context, e *entry, limit time.Duration) Result {
	pid := e.process
	e.process = 0
	ctx, cancel := within(ctx, limit)
	defer cancel()
	status, err := e.action.(Processes).Await(ctx, pid)
	return Result{status, err}
}
