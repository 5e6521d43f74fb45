package livetest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// TestLogrotate: the real logrotate takes the file that is installed, rotates a
// log that grew before its week is over, and leaves a small one alone.
func TestLogrotate(t *testing.T) {
	nettest.NeedProgram(t, "logrotate")
	t.Parallel()
	shipped, err := os.ReadFile("../../configs/knockd.logrotate")
	if err != nil {
		t.Fatal(err)
	}
	logrotate, _ := nettest.FindProgram("logrotate")
	for _, c := range []struct {
		name string
		size int64
		want bool
	}{
		{"a day's log", 1 << 20, false},
		{"a flood's log", 51 << 20, true},
	} {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask: logrotate looks
			t.Fatal(err)
		}
		log := dir + "/knockd.log"
		nettest.Write(t, log, "[2026-11-23 10:00] starting up\n")
		if err := os.Truncate(log, c.size); err != nil {
			t.Fatal(err)
		}
		// No daemon of this machine is told.
		text := strings.NewReplacer("/var/log/knockd.log", log, "/run/systemd/system", dir+"/none", "/var/run/knockd.pid", dir+"/pid").Replace(string(shipped))
		nettest.Write(t, dir+"/conf", text)
		now := time.Now()
		nettest.Write(t, dir+"/state", fmt.Sprintf("logrotate state -- version 2\n%q %d-%d-%d-%d:0:0\n", log, now.Year(), now.Month(), now.Day(), now.Hour()))
		out, err := exec.Command(logrotate, "-v", "-s", dir+"/state", dir+"/conf").CombinedOutput()
		if err != nil || strings.Contains(string(out), "error:") {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
		if _, err := os.Stat(log + ".1"); (err == nil) != c.want {
			t.Errorf("%s: rotated: %v, want %v\n%s", c.name, err == nil, c.want, out)
		}
	}
}
