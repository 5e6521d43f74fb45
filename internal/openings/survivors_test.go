package openings

import (
	"os/exec"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// TestSurvivorsOfOthers: what another user runs is no command of ours, whatever
// its environment says. It would decide when a door closes.
func TestSurvivorsOfOthers(t *testing.T) {
	nettest.NeedRealRoot(t)
	const journal = "survivors.journal"
	run := func(uid uint32, id uint64) int {
		cmd := exec.Command("/bin/sleep", "60")
		cmd.Dir = "/"
		cmd.Env = []string{marker(journal, id)}
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
	both := []saved{{id: 1, o: &Opening{}}, {id: 2, o: &Opening{}}}
	ours, theirs := run(0, 1), run(65534, 2)
	// Until it has become /bin/sleep a child is a copy of ourselves.
	for begin := time.Now(); len(survivors(journal, both)) == 0; {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("our own command is not found")
		}
		time.Sleep(10 * time.Millisecond)
	}
	alive := survivors(journal, both)
	if len(alive) != 1 || alive[1] != ours {
		t.Errorf("found %v, want only %d; %d is another user's", alive, ours, theirs)
	}
}
