package livetest

import (
	"fmt"
	"testing"
)

// TestCleanupForce: --cleanup while a daemon runs says how, and does it,
// whoever has the table and whatever the options of that daemon.
func TestCleanupForce(t *testing.T) {
	t.Parallel()
	for name, other := range map[string][]string{"the same daemon": nil, "one with other options": {"-i", "eth0"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, "")
			b.appears()
			b.start()
			b.vanishes()
			b.daemon.waitFor(lockedOut, 1)
			pid := b.daemon.cmd.Process.Pid
			status, out, errs := b.knockd(append([]string{"--cleanup"}, other...)...)
			if want := fmt.Sprintf("knockd: already running (pid %d)\nknockd: hint: stop it before, or have it stopped: knockd --cleanup --force\n", pid); status != 1 || out != "" || errs != want {
				t.Errorf("status %d\n%s%s", status, out, errs)
			}
			b.isShut()
			status, out, errs = b.knockd(append([]string{"--cleanup", "--force"}, other...)...)
			want := fmt.Sprintf("stopping knockd (pid %d)\ndeleted table inet knockd: the ports it guarded are no longer closed by it\n", pid)
			if status != 0 || out != want || errs != "" {
				t.Errorf("status %d\n%s%s", status, out, errs)
			}
			b.reached()
			<-b.daemon.done
			b.start()
			b.reached()
		})
	}
}
