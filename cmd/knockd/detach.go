package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"knockd/internal/event"
	"knockd/internal/eventlog"
	"knockd/internal/statefile"
)

// detachedEnv tells a process that it is the daemon to be, and on which
// descriptor whoever started it waits for word that it listens.
const detachedEnv = "KNOCKD_DETACHED"

// mayDetach reports whether -d is to be followed: not in the detached process
// itself, nor where systemd watches the process it started.
func (o *options) mayDetach() bool {
	return o.daemon && o.serves() && os.Getenv(detachedEnv) == "" && os.Getenv("NOTIFY_SOCKET") == ""
}

// detach starts the daemon in a session of its own and returns once it
// listens. A Go process cannot fork, so the program is executed once more; it
// prints what goes wrong itself.
func detach(ctx context.Context, args []string, stderr io.Writer) int {
	r, w, err := os.Pipe()
	if err != nil {
		printError(stderr, fmt.Errorf("become a daemon: %w", err))
		return exitFault
	}
	defer r.Close()
	child := exec.Command("/proc/self/exe", args...)
	child.Args[0] = os.Args[0]
	child.Env = append(os.Environ(), fmt.Sprintf("%s=%d", detachedEnv, w.Fd()))
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// Under the same number, as all that was left open for us: -c may name it.
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETFD, 0); err != nil {
		printError(stderr, fmt.Errorf("become a daemon: %w", err))
		return exitFault
	}
	if err := child.Start(); err != nil {
		w.Close()
		printError(stderr, fmt.Errorf("become a daemon: %w", err))
		return exitFault
	}
	w.Close()
	// Only while it is waited for: the daemon outlives ctx.
	forget := context.AfterFunc(ctx, func() { _ = child.Process.Signal(syscall.SIGTERM) })
	defer forget()
	if word, _ := io.ReadAll(r); len(word) > 0 {
		return exitOK
	}
	_ = child.Wait()
	return exitFault
}

// daemonize makes the process a daemon in all but its output: paths that the
// command line gave are made absolute first.
func (o *options) daemonize() error {
	fd, err := strconv.Atoi(os.Getenv(detachedEnv))
	if err != nil || !o.inherited.has(fd) { // nobody waits
		return nil
	}
	if err := os.Unsetenv(detachedEnv); err != nil { // the commands need not know
		return err
	}
	o.waiting = fd
	return os.Chdir("/")
}

// flushLimit is how long going to the background waits for a log, or a
// standard error, that takes nothing.
const flushLimit = time.Second

// ready says that the daemon listens, to whoever waits for it. What was to be
// said until then is said while there is a standard error.
func (o *options) ready(log *eventlog.Log) {
	notify(daemon.SdNotifyReady)
	if o.waiting == 0 {
		return
	}
	log.FlushWithin(flushLimit)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil {
		defer null.Close()
		for fd := range firstOther {
			_ = unix.Dup3(int(null.Fd()), fd, 0)
		}
	}
	_, _ = unix.Write(o.waiting, []byte("listening\n"))
	if err != nil {
		_ = unix.Close(o.waiting)
		return
	}
	o.inherited.letGo(int(null.Fd())) // o.waiting is one of them
}

// notify tells systemd, if it is there, about the state of the daemon.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }

func notifyStatus(text string) { notify("STATUS=" + text) }

// writePidFile writes the pid file, if -d asks for one, and returns how to
// remove it. The configuration's path comes before that of -p. Without a pid
// file the doors work all the same, so it is only a warning that it cannot be
// written, as with knockd 0.8.
func (o *options) writePidFile(path string, log *eventlog.Log) (remove func()) {
	if !o.daemon {
		return func() {}
	}
	if path == "" {
		path = o.pidFile
	}
	if err := statefile.Overwrite(path, fmt.Sprintln(os.Getpid())); err != nil {
		log.Event(event.Fault{Err: fmt.Errorf("warning: the pid file cannot be written: %w", err)})
		return func() {}
	}
	return func() {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() { // not /dev/null
			_ = os.Remove(path)
		}
	}
}
