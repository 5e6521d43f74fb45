package daemon

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/capture"
	"knockd/internal/event"
)

func doorText(name, sequence, timeout string) string {
	return "[" + name + "]\nsequence = " + sequence + "\ncmd_timeout = " + timeout +
		"\ncommand = open-" + name + "\nstop_command = close-" + name + "\n"
}

func TestReload(t *testing.T) {
	stays, goes := doorText("stays", "1,2", "3600"), doorText("goes", "3", "3600")
	inWorld(t, stays+goes, func(w *world) {
		w.knock("192.0.2.1", 3, 1)
		w.ran("open-goes")
		w.said()

		w.reload(stays + doorText("comes", "4", "3600"))
		w.says(`
re-reading config file: k.conf
192.0.2.1: goes: closed early: door removed
goes: running command: close-goes
`)
		w.ran("close-goes")
		w.knock("192.0.2.1", 2) // the attempt went on
		w.ran("open-stays")
		w.said()

		w.reload(doorText("stays", "1,2,3", "1"))
		w.says("re-reading config file: k.conf\n")
		w.knock("192.0.2.1", 1, 2)
		w.ran() // two steps of three, and what was opened before keeps its time

		w.said()
		if w.ends() != 0 {
			t.Error("the end took time")
		}
		w.says(`
192.0.2.1: stays: closed early: shutting down
stays: running command: close-stays
shutting down
`)
		w.ran("close-stays")
		if want := []bool{true, true}; !slices.Equal(w.reopen, want) {
			t.Errorf("log file opened again: %v, want %v", w.reopen, want)
		}
	})
}

// TestReloadRefused: a fault, or an option that cannot change, changes nothing,
// but the log file is opened again.
func TestReloadRefused(t *testing.T) {
	good := doorText("a", "1", "3600")
	for _, c := range []struct{ name, conf, want string }{
		{"a fault", "[a]\nsequence = 70000\ncolour = blue\n", `
re-reading config file: k.conf
k.conf:2: [a] sequence: step 1: port 70000: must be between 1 and 65535
k.conf:3: [a] colour: unknown key: the nearest known one is "close"
configuration not changed
`},
		{"an option", "[options]\nInterface = eth1\nStateDir = /elsewhere\nLogRate = 5\n" + good, `
re-reading config file: k.conf
k.conf: only a restart can change: Interface, StateDir
configuration not changed
`},
		{"no file of sequences", "[a]\none_time_sequences = DIR/none\n", `
re-reading config file: k.conf
k.conf:1: [a] one_time_sequences: open DIR/none: no such file or directory
configuration not changed
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, good, func(w *world) {
				w.said()
				w.reload(c.conf)
				w.says(c.want)
				w.knock("192.0.2.1", 1)
				w.ran("open-a")
				if want := []bool{false}; !slices.Equal(w.reopen, want) {
					t.Errorf("log file opened again: %v, want %v", w.reopen, want)
				}
			})
		})
	}
}

// TestReloadTwice: one more SIGHUP during a reload has the file read once more,
// and two do no more than that.
func TestReloadTwice(t *testing.T) {
	inWorld(t, doorText("a", "1", "1"), func(w *world) {
		w.said()
		w.slow = make(chan struct{})
		for range 3 {
			w.reload(doorText("a", "2", "1"))
		}
		w.slow <- struct{}{}
		w.slow <- struct{}{}
		w.says("re-reading config file: k.conf\nre-reading config file: k.conf\n")
		if w.loads != 2 {
			t.Errorf("read %d times, want 2", w.loads)
		}
	})
}

// TestLogFileHangs: a log file that does not open holds up nobody who knocks.
func TestLogFileHangs(t *testing.T) {
	inWorld(t, doorText("a", "1", "3600"), func(w *world) {
		w.logSlow = make(chan struct{})
		w.reload(doorText("a", "2", "3600"))
		w.knock("192.0.2.1", 1)
		w.ran("open-a")
		w.logSlow <- struct{}{}
		synctest.Wait()
		w.knock("192.0.2.2", 2)
		w.ran("open-a")
		w.reload("")
		if took := w.ends(); took != diskLimit {
			t.Errorf("the end took %v, want %v", took, diskLimit)
		}
		close(w.logSlow)
	})
}

// TestEndDuringReload: the end waits until the new configuration is read, since
// that may touch the firewall, but not for ever: the doors come first.
func TestEndDuringReload(t *testing.T) {
	for _, c := range []struct {
		name  string
		read  time.Duration // how long it takes
		after time.Duration
	}{
		{"slow", 3 * time.Second, 3 * time.Second},
		{"never", time.Hour, diskLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, doorText("a", "1", "3600"), func(w *world) {
				w.knock("192.0.2.1", 1)
				w.slow = make(chan struct{})
				w.reload(doorText("b", "2", "1"))
				go func() {
					time.Sleep(c.read)
					w.slow <- struct{}{}
				}()
				if took := w.ends(); took != c.after {
					t.Errorf("the end took %v, want %v", took, c.after)
				}
				w.ran("close-a", "open-a")
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// TestDeaf: a capture that ends is an error, and the doors close.
func TestDeaf(t *testing.T) {
	inWorld(t, doorText("a", "1", "3600"), func(w *world) {
		w.knock("192.0.2.1", 1)
		w.packet.Close()
		if err := <-w.ended; err == nil || err.Error() != "capture: file already closed" {
			t.Errorf("error %v", err)
		}
		w.ran("close-a", "open-a")
	})
}

// TestStatus: what is listened on and waited for, when it begins and changes.
func TestStatus(t *testing.T) {
	inWorld(t, doorText("a", "1", "3600"), func(w *world) {
		w.says("starting up, listening on eth0\n")
		w.packet.changes <- capture.Listening{Missing: []string{"eth0", capture.DefaultRoute}, News: []event.Event{event.Finding{Finding: "eth0 is gone"}}}
		w.says("eth0 is gone\n")
		w.knock("192.0.2.1", 1) // of an address that is no longer local
		w.ran()
		w.ends()
		want := []string{"listening on eth0", "waiting for interface eth0; waiting for a default route", "closing all doors"}
		if !slices.Equal(w.status, want) {
			t.Errorf("status %q, want %q", w.status, want)
		}
	})
}

// TestNeverListened: without an interface there was no daemon.
func TestNeverListened(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir)
		w.packet.heard, w.packet.begins = false, capture.Listening{Missing: []string{"eth7"}}
		w.write("k.conf", doorText("a", "1", "1"))
		w.start()
		w.stop()
		err := <-w.ended
		if want := "never listened: still waiting for interface eth7"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %q", err, want)
		}
		w.says("starting up\nwaiting for interface eth7\nshutting down\n")
	})
}
