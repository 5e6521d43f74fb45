package command

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
)

// A daemon that is killed leaves its commands running. An opening's stop must
// not run before its start has ended, so the next daemon looks for them: the
// environment of each bears the opening's mark.

const markName = "KNOCK_OPENING="

// Running returns the commands that still open or close openings with these
// marks: the number of the process group, by mark.
func (Action) Running(marks []string) map[string]int {
	alive := map[string]int{}
	if len(marks) == 0 {
		return alive
	}
	asked := make(map[string]bool, len(marks))
	for _, m := range marks {
		asked[m] = true
	}
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil {
			continue // gone, or not ours
		}
		mark := markIn(env)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if asked[mark] && isCommand(pid) && isOurs(pid) {
			alive[mark] = pid
		}
	}
	return alive
}

// markIn returns the last mark in an environment, "" if there is none.
func markIn(env []byte) (mark string) {
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if m, ok := bytes.CutPrefix(v, []byte(markName)); ok {
			mark = string(m)
		}
	}
	return mark
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

// Await waits for the end of a command that another daemon has started, and ends
// it when ctx is over.
func (a Action) Await(ctx context.Context, pid int) (status int, err error) {
	if waitGone(ctx, pid) {
		return 0, nil
	}
	_ = unix.Kill(-pid, unix.SIGTERM)
	grace, cancel := context.WithTimeout(context.Background(), Grace)
	defer cancel()
	if !waitGone(grace, pid) {
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	return SignalBase + int(unix.SIGTERM), context.Cause(ctx)
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
