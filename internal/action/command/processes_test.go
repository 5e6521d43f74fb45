package command_test

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"knockd/internal/action/command"
	"knockd/internal/nettest"
)

// TestProcessesOfOthers: what another user runs is no command of ours, whatever
// its environment says. It would decide when a door closes.
func TestProcessesOfOthers(t *testing.T) {
	nettest.NeedRealRoot(t)
	action := command.Action{}
	run := func(uid uint32, mark string) int {
		cmd := exec.Command("/bin/sleep", "60")
		cmd.Dir = "/"
		cmd.Env = []string{"KNOCK_OPENING=" + mark}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		return cmd.Process.Pid
	}
	both := []string{"journal:1", "journal:2"}
	ours, theirs := run(0, both[0]), run(65534, both[1])
	// Until it has become /bin/sleep a child is a copy of ourselves.
	for begin := time.Now(); len(action.Running(both)) == 0; {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("our own command is not found")
		}
		time.Sleep(10 * time.Millisecond)
	}
	alive := action.Running(both)
	if len(alive) != 1 || alive[both[0]] != ours {
		t.Errorf("found %v, want only %d; %d is another user's", alive, ours, theirs)
	}
}
