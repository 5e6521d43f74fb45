package openings

import (
	"context"
	"time"

	"knockd/internal/event"
)

// Runner runs one command line of the configuration and waits for its end.
// Env ("NAME=value") is added to the daemon's own environment; limit bounds
// its time, 0 does not. Status is counted as a shell counts it; an error says
// that the command could not be run, or was ended because of the limit or ctx.
// With the status -1 nothing of it has run.
type Runner interface {
	Run(ctx context.Context, line string, env []string, limit time.Duration) (status int, err error)
}

// Log takes what happens.
type Log interface{ Event(event.Event) }
