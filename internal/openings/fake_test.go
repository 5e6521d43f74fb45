package openings

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"knockd/internal/action/command"
	"knockd/internal/event"
	"knockd/internal/knock"
)

// fakeShell understands "sleep DURATION", "exit N", "hang" (until ended),
// "fork" (cannot be run) and "lack DURATION" (cannot be run for so long), joined
// by "; ". Anything else is a program that does nothing. It keeps what the real
// one keeps: limits, and the context's end.
type fakeShell struct {
	mu      sync.Mutex
	begin   time.Time
	ran     []string // "SECONDS LINE" as each began
	running int
	most    int  // that ran at once
	dead    bool // runs nothing more
}

func (f *fakeShell) Run(ctx context.Context, line string, env []string, limit time.Duration) (int, error) {
	f.mu.Lock()
	if f.dead {
		f.mu.Unlock()
		return -1, errors.New("dead")
	}
	f.ran = append(f.ran, fmt.Sprintf("%g %s", time.Since(f.begin).Seconds(), line))
	f.running++
	f.most = max(f.most, f.running)
	f.mu.Unlock()
	defer func() { f.mu.Lock(); f.running--; f.mu.Unlock() }()
	if limit > 0 {
		var cancel func()
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("time limit reached"))
		defer cancel()
	}
	for part := range strings.SplitSeq(line, "; ") {
		word, arg, _ := strings.Cut(part, " ")
		var pause time.Duration
		switch word {
		case "exit":
			var n int
			fmt.Sscan(arg, &n)
			return n, nil
		case "fork":
			return -1, fmt.Errorf("fork: no more processes")
		case "lack":
			if until, _ := time.ParseDuration(arg); time.Since(f.begin) < until {
				return -1, fmt.Errorf("start /bin/sh: %w", syscall.EMFILE)
			}
		case "hang":
			pause = 100 * time.Hour
		case "sleep":
			pause, _ = time.ParseDuration(arg)
		}
		if pause == 0 { // and no timer: many of them crash -race in a bubble, go.dev/issue/78156
			continue
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 128 + 15, context.Cause(ctx)
		}
	}
	return 0, nil
}

func (f *fakeShell) lines() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.ran...)
}

// fakeLog keeps lines with the seconds since its begin.
type fakeLog struct {
	mu    sync.Mutex
	begin time.Time
	text  strings.Builder
}

func (l *fakeLog) Event(e event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.SplitSeq(e.Text(), "\n") {
		fmt.Fprintf(&l.text, "%g %s\n", time.Since(l.begin).Seconds(), line)
	}
}

// forget forgets the lines so far.
func (l *fakeLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

func (l *fakeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// fakes are a Manager with a fake shell and log, for a synctest bubble.
func fakes(o Options) (*Manager, *fakeShell, *fakeLog) {
	now := time.Now()
	if o.Now == nil {
		o.Now = time.Now // the bubble's
	}
	shell, log := &fakeShell{begin: now}, &fakeLog{begin: now}
	o.Actions, o.Log = withShell(o.Actions, shell), log
	return New(o), shell, log
}

// runner runs a command line; ctx bounds it.
type runner interface {
	Run(ctx context.Context, line string, env []string, limit time.Duration) (status int, err error)
}

// fakeCommand is the action of commands with another shell.
type fakeCommand struct {
	command.Action
	shell runner
}

func (c fakeCommand) Open(ctx context.Context, o *knock.Opening) (int, error) {
	return c.shell.Run(ctx, o.Args.Start, nil, 0)
}

func (c fakeCommand) Close(ctx context.Context, o *knock.Opening) (int, error) {
	return c.shell.Run(ctx, o.Args.Stop, nil, 0)
}

// Running finds nothing: a fake shell's commands end with their daemon.
func (fakeCommand) Running([]string) map[string]int { return nil }

// withShell returns actions and that of commands with a shell.
func withShell(others map[string]Action, shell runner) map[string]Action {
	all := maps.Clone(others)
	if all == nil {
		all = map[string]Action{}
	}
	all["command"] = fakeCommand{shell: shell}
	return all
}

// actionOf is the action of a door with this start command.
func actionOf(start string) string {
	if start == "" {
		return ""
	}
	return "command"
}

func opening(start, stop string, timeout time.Duration) knock.Opening {
	return knock.Opening{
		Door: knock.DoorID{Name: "ssh"}, Addr: netip.MustParseAddr("192.0.2.1"), Action: actionOf(start),
		Args: knock.Arguments{Start: start, Stop: stop}, Timeout: timeout,
		Vars: knock.Vars{IP: "192.0.2.1", Door: "ssh"},
	}
}

func wantText(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func contains(text, part string) bool { return strings.Contains(text, part) }

func sorted(lines []string) []string {
	lines = slices.Clone(lines)
	slices.Sort(lines)
	return lines
}

func (f *fakeShell) peak() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}
