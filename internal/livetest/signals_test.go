package livetest

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// longDoor is a door that only the daemon's end closes, slowly.
const longDoor = "7000:udp"

func slowDoor() string {
	return countDoor(longDoor, "cmd_timeout = 3600\n\tstop_command = sleep 0.5; echo closed >> DIR/opened")
}

// TestHangupWhileClosing: a SIGHUP, as logrotate sends it, does not end a
// daemon that is closing its doors.
func TestHangupWhileClosing(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, slowDoor())
	syn(t, client, nettest.Client4, nettest.Server4, longDoor)
	d.opensFor(nettest.Client4)
	d.cmd.Process.Signal(syscall.SIGTERM)
	d.waitFor("closed early", 1)
	if status := d.stop(syscall.SIGHUP); status != 0 {
		t.Errorf("status %d, want 0", status)
	}
	d.opensFor(nettest.Client4, "closed")
}

// TestOutputGone: nobody reads what -v prints, or nobody does any more: doors
// open and close all the same.
func TestOutputGone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		ready func(r, w *os.File)
	}{
		{"closed", func(r, _ *os.File) { r.Close() }},
		{"full", func(_, w *os.File) {
			w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			for err := error(nil); err == nil; {
				_, err = w.WriteString(strings.Repeat("x", 4096))
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			client, server := nettest.Pair(t)
			d := start(t, server, slowDoor())
			d.stop(syscall.SIGTERM)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close(); w.Close() })
			c.ready(r, w)
			args := append([]string{"-v"}, d.cmd.Args[1:]...)
			d.done = make(chan struct{})
			cmd := exec.Command(d.cmd.Path, args...)
			cmd.Stdout = w
			d.run(server, cmd)
			nettest.Eventually(t, "an opening", func() bool {
				syn(t, client, nettest.Client4, nettest.Server4, longDoor)
				return len(d.opened()) > 0
			})
			if status := d.stop(syscall.SIGTERM); status != 0 {
				t.Errorf("status %d, want 0", status)
			}
			if opened := d.opened(); strings.Count(strings.Join(opened, " "), "closed") != len(opened)/2 {
				t.Errorf("opened and closed: %q", opened)
			}
		})
	}
}
