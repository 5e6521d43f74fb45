package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Grace is how long a command that has been told to end (SIGTERM) may go on
// before its process group is killed.
const Grace = 5 * time.Second

// Statuses of /bin/sh that say that the command itself never ran, or not to
// its end: POSIX.1-2024, Shell Command Language, 2.8.2.
const (
	NotExecutable = 126 // found, but cannot be executed
	NotFound      = 127 // not found
	SignalBase    = 128 // 128+n: ended by signal n
)

// ErrLimit says that a command was ended because it ran for too long.
var ErrLimit = errors.New("time limit reached")

// Shell runs command lines. The zero value is ready for use.
type Shell struct {
	// Grace is the time from SIGTERM to SIGKILL; 0: the constant Grace.
	Grace time.Duration
}

// Run runs a command line and waits for the shell to end; processes that the
// command has left in the background live on and are not waited for. Env is
// "NAME=value", beside the daemon's own environment without what systemd means
// for the daemon alone. Limit is how long the
// command may run; 0: without limit.
//
// Status is the shell's exit status, 128+n where signal n ended it. An error
// says that there is no status to judge by: the shell could not be started
// (status -1), or it was ended because the limit was over (ErrLimit) or ctx
// was (its cause). Only then does the whole process group get SIGTERM, and
// after s.Grace SIGKILL.
func (s Shell) Run(ctx context.Context, line string, env []string, limit time.Duration) (status int, err error) {
	if err := context.Cause(ctx); err != nil {
		return -1, err
	}
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Env = append(inherited(os.Environ()), env...)
	// Files, not pipes: Wait would wait for a pipe's last writer, which may be
	// a background child. A nil Stdin is /dev/null.
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	handle := -1
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, PidFD: &handle}
	if err := withCores(cmd.Start); err != nil {
		return -1, fmt.Errorf("start /bin/sh: %w", err)
	}
	pid, ended := cmd.Process.Pid, make(chan struct{})
	_ = cmd.Process.Release() // wait has the handle
	go func() {
		defer close(ended)
		status = wait(pid, handle)
	}()
	err = await(ctx, ended, limit)
	if err != nil {
		endGroup(pid, ended, s.Grace)
		<-ended
	}
	return status, err
}

// ours are the variables of systemd's that speak of the process they were given
// to, sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3). A command that
// took them for its own would speak for the daemon.
var ours = []string{"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}

// inherited returns the part of the environment that commands get.
func inherited(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(ours, name)
	})
}

// await waits for the command's end; an error says that it has to be ended.
func await(ctx context.Context, ended <-chan struct{}, limit time.Duration) error {
	var over <-chan time.Time
	if limit > 0 {
		t := time.NewTimer(limit)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-ended:
		return nil
	case <-over:
		return ErrLimit
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// endGroup asks a process group to end and, when grace is over, kills what is
// left of it. The group's number cannot come to mean another group meanwhile:
// it is not given away again while a member lives, and once there is none the
// next look, 20 ms later, finds that out.
func endGroup(pgid int, ended <-chan struct{}, grace time.Duration) {
	if grace <= 0 {
		grace = Grace
	}
	over := time.NewTimer(grace)
	defer over.Stop()
	_ = unix.Kill(-pgid, unix.SIGTERM)
	select {
	case <-ended:
	case <-over.C:
		_ = unix.Kill(-pgid, unix.SIGKILL)
		return
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for unix.Kill(-pgid, 0) == nil { // the shell is gone; its children have the same grace
		select {
		case <-look.C:
		case <-over.C:
			_ = unix.Kill(-pgid, unix.SIGKILL)
			return
		}
	}
}
