package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"knockd/internal/nettest"
)

// TestReloadOf: the process that is meant is asked if the socket is its own, and
// else gets SIGHUP; so it does where there is no socket.
func TestReloadOf(t *testing.T) {
	dir := t.TempDir()
	nettest.Write(t, filepath.Join(dir, "Reload"), `[{"doors": 3, "warnings": []}]`)
	answering(t, dir)
	socket := filepath.Join(dir, "control")
	if got, want := call(t, noProgram, "reload", "--socket", socket, "--pid", fmt.Sprint(os.Getpid())), (session{0, "configuration taken: 3 doors\n", ""}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, socket := range []string{socket, filepath.Join(dir, "none")} {
		other := exec.Command("sleep", "1000")
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		defer other.Process.Kill()
		pid := other.Process.Pid
		got := call(t, noProgram, "reload", "--socket", socket, "--pid", fmt.Sprint(pid))
		want := session{0, "", fmt.Sprintf("knockctl: process %d has no control socket here: it got SIGHUP, and its log says what comes of it\n", pid)}
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if err := other.Wait(); err == nil || other.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGHUP {
			t.Errorf("%s: the other process got no SIGHUP: %v", socket, err)
		}
		got = call(t, noProgram, "reload", "--socket", socket, "--pid", fmt.Sprint(pid)) // which is gone
		if want := (session{1, "", fmt.Sprintf("knockctl: send SIGHUP to process %d: no such process\nknockctl: hint: it takes a knockd that runs, and its user or root\n", pid)}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
