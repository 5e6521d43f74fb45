package livetest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/control"
	"knockd/internal/nettest"
)

// TestHistorySurvives: who was let in, by what and for how long, is known after
// the daemon was killed and started again, and what it has closed then is one
// visit.
func TestHistorySurvives(t *testing.T) {
	t.Parallel()
	nettest.NeedRealRoot(t)
	knocker, server := nettest.Pair(t)
	dir := place(t, "knockctl")
	socket, knockctl := filepath.Join(dir, "control"), filepath.Join(dir, "knockctl")
	if err := os.Mkdir(filepath.Join(dir, "history"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := start(t, server, `[options]
	logfile = LOG
	ControlSocket = `+socket+`
	HistoryFile = `+dir+`/history/visits
[ssh]
	sequence = 7000:udp,8000:udp
	open = tcp/22
	cmd_timeout = 8
[run]
	sequence = 7100:udp,8100:udp
	start_command = true
	stop_command = true
	cmd_timeout = 8
`)
	syn(t, knocker, nettest.Client4, nettest.Server4, "7000:udp", "8000:udp", "7100:udp", "8100:udp")
	d.waitFor("run: running command", 1)
	d.waitFor("ssh: opened tcp/22", 1)
	said(t, exec.Command(knockctl, "open", "ssh", "10.7.0.9", "--for", "1h", "--socket", socket))
	said(t, exec.Command(knockctl, "close", "ssh", "10.7.0.9", "--socket", socket))
	said(t, exec.Command(knockctl, "open", "ssh", "10.7.0.10", "--socket", socket))
	visits := func() (list []control.Visit) {
		for line := range strings.Lines(said(t, exec.Command(knockctl, "history", "--json", "--socket", socket))) {
			var v control.Visit
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			list = append(list, v)
		}
		return list
	}
	if n := len(visits()); n != 4 {
		t.Errorf("%d visits", n)
	}
	time.Sleep(1500 * time.Millisecond) // until it is in the file
	d.stop(syscall.SIGKILL)
	d.again(server)
	d.waitFor("ssh: closed for "+nettest.Client4, 1)
	d.waitFor("run: command timeout", 1)
	d.waitFor("ssh: closed for 10.7.0.10", 1)
	var got []string
	for _, v := range visits() {
		text := fmt.Sprintf("%s %v %s", v.Door, v.Address, v.By)
		if v.UID != nil {
			text += fmt.Sprintf(" %d", *v.UID)
		}
		if v.Closed.Sub(v.Opened) > 7*time.Second {
			text += ", its time"
		}
		if v.Why != "" {
			text += ": " + v.Why
		}
		got = append(got, text)
	}
	slices.Sort(got)
	want := []string{
		"run " + nettest.Client4 + " knock, its time",
		"ssh " + nettest.Client4 + " knock, its time",
		"ssh 10.7.0.10 operator 0, its time",
		"ssh 10.7.0.9 operator 0: by uid 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}
