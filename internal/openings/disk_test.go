package openings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/action/command"
	"knockd/internal/nettest"
	"knockd/internal/openings/journal"
)

// TestFullDisk: a door opens and closes on time although the journal cannot be
// written, the log says so once, and once when it is over.
func TestFullDisk(t *testing.T) {
	nettest.OnSmallDisk(t, "size=64k", func(dir string) {
		j, err := journal.Open(dir, "test")
		if err != nil {
			t.Error(err)
			return
		}
		log := &fakeLog{begin: time.Now()}
		m := New(Options{Actions: map[string]Action{"command": command.Action{}}, Log: log, Journal: j})
		_ = os.WriteFile(filepath.Join(dir, "junk"), make([]byte, 1<<20), 0o600) // as much as fits
		out := filepath.Join(t.TempDir(), "out")
		for range 3 {
			m.Open(opening("echo start >> "+out, "echo stop >> "+out, 100*time.Millisecond), nil)
		}
		nettest.Eventually(t, "all done", func() bool { return m.Pending() == 0 })
		text, _ := os.ReadFile(out)
		if n := strings.Count(string(text), "stop"); n != 3 {
			t.Errorf("%d stops", n)
		}
		warning := "journal: write " + dir + "/test.journal: no space left on device: until this is over, doors open now stay open if the daemon dies\n"
		if n := strings.Count(log.String(), warning); n != 1 {
			t.Errorf("%d warnings: %s", n, log)
		}
		m.Open(opening("true", "echo lasting >> "+out, time.Hour), nil)
		nettest.Eventually(t, "one opening in the journal", func() bool { return j.Len() == 1 })
		if err := os.Remove(filepath.Join(dir, "junk")); err != nil {
			t.Error(err)
		}
		nettest.Eventually(t, "a journal that can be relied on", j.Reliable)
		if !strings.Contains(log.String(), "journal: written again: all open doors are in it\n") {
			t.Error(log.String())
		}
		m.Shutdown(t.Context())
		j.Close()
	})
}
