package openings

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/openings/journal"
)

// A daemon that is killed leaves its commands running. An opening's stop must
// not run before its start has ended, so the next daemon looks for them: the
// environment of each names journal and opening.

const markerName = "KNOCK_OPENING="

func marker(j Journal, id uint64) string {
	return markerName + filepath.Base(j.Path()) + ":" + strconv.FormatUint(id, 10)
}

// survivors finds the running commands of the openings found in a journal: the
// number of the process group, by opening. It looks only if a command could be
// running.
func survivors(j Journal, found []journal.Opening) map[uint64]int {
	could := func(o *journal.Opening) bool { return o.Kind == "" && (o.Opened == 0 || o.Stopping) }
	alive := map[uint64]int{}
	wanted := map[string]uint64{}
	for i := range found {
		if o := &found[i]; could(o) {
			wanted[marker(j, o.ID)] = o.ID
		}
	}
	if len(wanted) == 0 {
		return alive
	}
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil {
			continue // gone, or not ours
		}
		id, ok := markedAs(env, wanted)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if ok && isCommand(pid) && isOurs(pid) {
			alive[id] = pid
		}
	}
	return alive
}

func markedAs(env []byte, wanted map[string]uint64) (id uint64, ok bool) {
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.HasPrefix(v, []byte(markerName)) {
			id, ok = wanted[string(v)]
		}
	}
	return id, ok
}

// isCommand reports whether a process is the shell of a command, or what that
// has become by exec: it leads its process group, but no session. What a
// command has left in the background does not lead, or leads a session of its
// own.
func isCommand(pid int) bool {
	group, err := unix.Getpgid(pid)
	session, err2 := unix.Getsid(pid)
	return err == nil && err2 == nil && group == pid && session != pid
}

// isOurs reports whether a process was started by our user. Whoever else names
// an opening in an environment wants to decide when its door closes. The real
// user counts: a set-user-ID program has another effective one.
func isOurs(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	_, uids, _ := bytes.Cut(status, []byte("\nUid:\t"))
	uid, _, _ := bytes.Cut(uids, []byte{'\t'})
	return string(uid) == strconv.Itoa(os.Getuid())
}

// outlive waits for the end of an opening's command that another daemon has
// started, and ends it at a limit (0: none) or when ctx is over.
func (m *Manager) outlive(ctx context.Context, e *entry, limit time.Duration) Result {
	group := e.survivor
	e.survivor = 0
	if limit > 0 {
		var cancel func()
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("time limit reached"))
		defer cancel()
	}
	if waitGone(ctx, group) {
		return Result{}
	}
	cause := context.Cause(ctx)
	_ = unix.Kill(-group, unix.SIGTERM)
	grace, cancel := context.WithTimeout(context.Background(), shutdownKill)
	defer cancel()
	if !waitGone(grace, group) {
		_ = unix.Kill(-group, unix.SIGKILL)
	}
	return Result{Status: 128 + int(unix.SIGTERM), Err: cause}
}

// waitGone waits until a command has ended; false if ctx is over before. It is
// not our child: nobody tells us.
func waitGone(ctx context.Context, pid int) bool {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for running(pid) {
		select {
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// running reports whether a process runs; one that nobody has waited for yet
// does not.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, ok := strings.Cut(string(stat[max(bytes.LastIndexByte(stat, ')'), 0):]), ") ")
	return ok && !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}
