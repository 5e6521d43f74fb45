package openings

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/command"
)

func TestReadOnlyDisk(t *testing.T) {
	onSmallDisk(t, "size=64k", func(dir string) {
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Error(err)
		}
		_, err := OpenJournal(dir, "test")
		want := "open " + dir + "/test.lock: read-only file system"
		if !errors.Is(err, syscall.EROFS) || errors.Is(err, ErrUnsafe) || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		_, err = OpenJournal(dir+"/state", "test")
		want = "mkdir " + dir + "/state: read-only file system"
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

// TestFullDisk: a door opens and closes on time although the journal cannot be
// written, the log says so once, and once when it is over.
func TestFullDisk(t *testing.T) {
	onSmallDisk(t, "size=64k", func(dir string) {
		j, err := OpenJournal(dir, "test")
		if err != nil {
			t.Error(err)
			return
		}
		j.retry = 100 * time.Millisecond
		log := &fakeLog{begin: time.Now()}
		m := New(Options{Runner: command.Shell{}, Log: log, Journal: j})
		_ = os.WriteFile(filepath.Join(dir, "junk"), make([]byte, 1<<20), 0o600) // as much as fits
		out := filepath.Join(t.TempDir(), "out")
		for range 3 {
			m.Open(opening("echo start >> "+out, "echo stop >> "+out, 100*time.Millisecond), nil)
		}
		waitFor(t, func() bool { return m.Pending() == 0 })
		text, _ := os.ReadFile(out)
		if n := strings.Count(string(text), "stop"); n != 3 {
			t.Errorf("%d stops", n)
		}
		warning := "journal: write " + dir + "/test.journal: no space left on device: until this is over, doors open now stay open if the daemon dies\n"
		if n := strings.Count(log.String(), warning); n != 1 {
			t.Errorf("%d warnings: %s", n, log)
		}
		m.Open(opening("true", "echo lasting >> "+out, time.Hour), nil)
		waitFor(t, func() bool { return j.Len() == 1 })
		if err := os.Remove(filepath.Join(dir, "junk")); err != nil {
			t.Error(err)
		}
		waitFor(t, j.reliable)
		if !strings.Contains(log.String(), "journal: written again: all open doors are in it\n") {
			t.Error(log.String())
		}
		m.Shutdown(t.Context())
		j.die()
	})
}

// TestFullDiskNoLoss: what was in the journal before the disk was full is still
// there after a crash, and what has ended meanwhile may run once more.
func TestFullDiskNoLoss(t *testing.T) {
	onSmallDisk(t, "size=64k", func(dir string) {
		j, err := OpenJournal(dir, "test")
		if err != nil {
			t.Error(err)
			return
		}
		o := opening("", "stop", time.Hour)
		j.opening(1, &o)
		j.opening(2, &o)
		_ = os.WriteFile(filepath.Join(dir, "junk"), make([]byte, 1<<20), 0o600)
		for range 100 { // up to the end of the page, then no more
			j.opening(3, &o)
			j.ended(3)
		}
		j.ended(1)
		if j.reliable() {
			t.Error("the disk is not full")
		}
		j.die()
		j, err = OpenJournal(dir, "test")
		if err != nil {
			t.Error(err)
			return
		}
		if f := j.found(); len(f) < 2 || f[0].id != 1 || f[1].id != 2 || j.damaged != 0 {
			t.Errorf("found %v, %d damaged", f, j.damaged)
		}
		j.die()
	})
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("waited for nothing")
}
