package command_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/action/command"
)

var shell command.Shell

func TestStatus(t *testing.T) {
	for _, c := range []struct {
		line   string
		status int
	}{
		{"true", 0},
		{"", 0},
		{"exit 3", 3},
		{"exit 255", 255},
		{"kill -9 $$", 128 + 9},
		{"kill -TERM $$", 128 + 15},
		{"/nonexistent/program", command.NotFound},
		{"/dev/null", command.NotExecutable},
		{"read line", 1},                       // standard input is /dev/null
		{`test "$A" = 'b c' -a -n "$PATH"`, 0}, // the daemon's environment and more
	} {
		status, err := shell.Run(t.Context(), c.line, []string{"A=b c"}, 0)
		if status != c.status || err != nil {
			t.Errorf("%q: status %d, error %v; want %d", c.line, status, err, c.status)
		}
	}
}

// TestBytes hands the shell what configurations like to contain, and sees that
// it arrives byte for byte.
func TestBytes(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	line := "printf '%s' '#;\"`$%d\\n \xff' > " + out + " # ; the rest"
	if status, err := shell.Run(t.Context(), line, nil, 0); status != 0 || err != nil {
		t.Fatalf("status %d, error %v", status, err)
	}
	if got, _ := os.ReadFile(out); string(got) != "#;\"`$%d\\n \xff" {
		t.Errorf("got %q", got)
	}
}

// TestNotForCommands: what systemd says to the daemon alone.
func TestNotForCommands(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "INVOCATION_ID"} {
		t.Setenv(name, "of the daemon")
	}
	out := filepath.Join(t.TempDir(), "out")
	line := `echo "$NOTIFY_SOCKET,$WATCHDOG_USEC,$WATCHDOG_PID,$LISTEN_FDS,$INVOCATION_ID" > ` + out
	if status, err := shell.Run(t.Context(), line, nil, 0); status != 0 || err != nil {
		t.Fatalf("status %d, error %v", status, err)
	}
	if got, _ := os.ReadFile(out); string(got) != ",,,,of the daemon\n" {
		t.Errorf("got %q", got)
	}
}

func TestCannotStart(t *testing.T) {
	long := "true " + strings.Repeat("x", 1<<20) // above MAX_ARG_STRLEN
	status, err := shell.Run(t.Context(), long, nil, 0)
	if status != -1 || err == nil || err.Error() != "start /bin/sh: fork/exec /bin/sh: argument list too long" {
		t.Errorf("status %d, error %v", status, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if status, err := shell.Run(over, "true", nil, 0); status != -1 || !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: status %d, error %v", status, err)
	}
}

// TestBackground: a child in the background is neither waited for nor killed,
// although it holds the command's standard output.
func TestBackground(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	begin := time.Now()
	status, err := shell.Run(t.Context(), "sleep 60 & echo $! > "+pidFile, nil, time.Minute)
	if status != 0 || err != nil {
		t.Fatalf("status %d, error %v", status, err)
	}
	if time.Since(begin) > 30*time.Second {
		t.Error("the background child was waited for")
	}
	pid := readPid(t, pidFile)
	if err := unix.Kill(pid, 0); err != nil {
		t.Errorf("background child: %v", err)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
}

func TestLimit(t *testing.T) {
	for _, c := range []struct {
		name, line string
		status     int
	}{
		{"ends at TERM", "exec sleep 60", 128 + 15},
		{"says its own status at TERM", "trap 'exit 7' TERM; sleep 60 & wait", 7},
		{"ignores TERM", "trap '' TERM; sleep 60; sleep 60", 128 + 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, err := command.Shell{Grace: 200 * time.Millisecond}.Run(t.Context(), c.line, nil, 100*time.Millisecond)
			if status != c.status || !errors.Is(err, command.ErrLimit) {
				t.Errorf("status %d, error %v; want %d and the limit", status, err, c.status)
			}
		})
	}
}

// TestLimitGroup: at the limit a child that outlives the shell and ignores
// SIGTERM is killed too.
func TestLimitGroup(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	line := "sh -c 'trap \"\" TERM; echo $$ > " + pidFile + "; while :; do sleep 1; done' & sleep 60"
	_, err := command.Shell{Grace: 300 * time.Millisecond}.Run(t.Context(), line, nil, 500*time.Millisecond)
	if !errors.Is(err, command.ErrLimit) {
		t.Fatal(err)
	}
	waitGone(t, readPid(t, pidFile))
}

func TestCancel(t *testing.T) {
	why := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(why) })
	if status, err := shell.Run(ctx, "exec sleep 60", nil, 0); status != 128+15 || !errors.Is(err, why) {
		t.Errorf("status %d, error %v", status, err)
	}
}

func readPid(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// waitGone waits until a process has ended; who reaps it does not matter.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	for range 500 {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("process %d lives on", pid)
}

// TestLeaveNoCore: the daemon's limit is none of the commands'.
func TestLeaveNoCore(t *testing.T) {
	var before, now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	before.Cur = before.Max // as somebody who wants core dumps
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	want := "unlimited"
	if before.Max != unix.RLIM_INFINITY {
		want = strconv.FormatUint(before.Max, 10)
	}
	if err := command.LeaveNoCore(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 20 { // at the same time
		all.Go(func() {
			line := `set -- $(grep '^Max core file size' /proc/self/limits); test "$5" = ` + want
			if status, err := shell.Run(t.Context(), line, nil, 0); status != 0 || err != nil {
				t.Errorf("a command's limit is not %s: status %d, %v", want, status, err)
			}
		})
	}
	all.Wait()
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &now); err != nil || now.Cur > 1 || now.Max != before.Max {
		t.Errorf("the limit is %+v (%v), want 1 of %d", now, err, before.Max)
	}
}
