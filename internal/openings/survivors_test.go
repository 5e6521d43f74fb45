package openings

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
	"knockd/internal/openings/journal"
)

// TestSurvivorsOfOthers: what another user runs is no command of ours, whatever
// its environment says. It would decide when a door closes.
func TestSurvivorsOfOthers(t *testing.T) {
	nettest.NeedRealRoot(t)
	j := mustOpen(t, t.TempDir(), "boot")
	defer j.Close()
	run := func(uid uint32, id uint64) int {
		cmd := exec.Command("/bin/sleep", "60")
		cmd.Dir = "/"
		cmd.Env = []string{marker(j, id)}
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
	both := []journal.Opening{{ID: 1}, {ID: 2}}
	ours, theirs := run(0, 1), run(65534, 2)
	// Until it has become /bin/sleep a child is a copy of ourselves.
	for begin := time.Now(); len(survivors(j, both)) == 0; {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("our own command is not found")
		}
		time.Sleep(10 * time.Millisecond)
	}
	alive := survivors(j, both)
	if len(alive) != 1 || alive[1] != ours {
		t.Errorf("found %v, want only %d; %d is another user's", alive, ours, theirs)
	}
}
