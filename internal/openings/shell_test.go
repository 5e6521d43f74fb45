package openings

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"knockd/internal/action/command"
)

var _ Processes = command.Action{}

// TestRealShell: a real door, opened and closed by /bin/sh.
func TestRealShell(t *testing.T) {
	door := filepath.Join(t.TempDir(), "door")
	log := &fakeLog{begin: time.Now()}
	m := New(Options{Actions: map[string]Action{"command": command.Action{}}, Log: log})
	o := opening("echo $KNOCK_IP $KNOCK_DOOR $KNOCK_PORT $KNOCK_PROTO > "+door, "rm "+door, time.Hour)
	o.Vars.Port, o.Vars.Proto = "22", "tcp"
	m.Open(o, nil)
	for range 500 {
		if text, _ := os.ReadFile(door); string(text) == "192.0.2.1 ssh 22 tcp\n" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if text, err := os.ReadFile(door); string(text) != "192.0.2.1 ssh 22 tcp\n" {
		t.Errorf("door: %q, %v", text, err)
	}
	if left := m.Shutdown(t.Context()); left != 0 {
		t.Errorf("%d left: %s", left, log)
	}
	if _, err := os.Stat(door); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}
