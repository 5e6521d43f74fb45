package command

import (
	"context"
	"math"

	"knockd/internal/knock"
)

// Action opens and closes doors by the commands of an opening's arguments.
type Action struct{ Shell }

// Traits implements openings.Action.
func (Action) Traits() knock.Traits {
	return knock.Traits{Beside: true, OwnWorkers: true, Runs: true}
}

// Check finds nothing: whether a command works is seen when it runs.
func (Action) Check(knock.Arguments) error { return nil }

// Needs returns everything: nobody knows what a command needs.
func (Action) Needs(knock.Arguments) uint64 { return math.MaxUint64 }

// Text does not repeat the command, which is told when it runs.
func (Action) Text(*knock.Opening) string { return "a command" }

// Open runs the start command.
func (a Action) Open(ctx context.Context, o *knock.Opening) (status int, err error) {
	return a.Run(ctx, o.Args.Start, environment(o), 0)
}

// Close runs the stop command.
func (a Action) Close(ctx context.Context, o *knock.Opening) (status int, err error) {
	return a.Run(ctx, o.Args.Stop, environment(o), 0)
}

// environment returns what a command of an opening is told beside the daemon's
// own environment.
func environment(o *knock.Opening) []string {
	env := o.Vars.Environment()
	if o.Mark != "" {
		env = append(env, markName+o.Mark)
	}
	return env
}
