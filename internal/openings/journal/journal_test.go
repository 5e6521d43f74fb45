package journal

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// closedBy is an opening that a command closes.
func closedBy(stop string, timeout time.Duration) knock.Opening {
	return knock.Opening{
		Door: knock.DoorID{Name: "ssh"}, Addr: netip.MustParseAddr("192.0.2.1"),
		Timeout: timeout, Vars: knock.Vars{IP: "192.0.2.1", Door: "ssh"},
		Action: "command", Args: knock.Arguments{Version: 1, Stop: stop},
	}
}

// die is what happens to a journal when its daemon is killed.
func (j *Journal) die() {
	close(j.closed)
	j.syncer.Wait()
	j.file.Close()
	j.lock.Close()
	j.dir.Close()
}

// TestBoot: openings are of this boot if both are known and the same.
func TestBoot(t *testing.T) {
	for _, c := range []struct {
		before, after string
		want          bool
	}{{"this", "this", true}, {"this", "another", false}, {"this", "", false}, {"", "", false}} {
		dir := t.TempDir()
		j := mustOpen(t, dir, c.before)
		j.Begin(1, closedBy("stop", time.Minute))
		j.die()
		j = mustOpen(t, dir, c.after)
		if f := j.Found(); len(f) != 1 || f[0].SameBoot != c.want {
			t.Errorf("%q, then %q: found %v", c.before, c.after, f)
		}
		j.die()
	}
}

// Test2040: times that take more than 32 bits of seconds are written and read
// whole.
func Test2040(t *testing.T) {
	dir, uptime := t.TempDir(), time.Unix(100*365*86400, 5)
	open := func() *Journal {
		j := mustOpen(t, dir, "boot")
		j.wall = func() time.Time { return time.Date(2040, 2, 29, 12, 0, 0, 0, time.UTC) }
		j.SetClock(func() time.Time { return uptime })
		return j
	}
	j := open()
	j.Begin(1, closedBy("stop", 50*365*24*time.Hour))
	j.Opened(1)
	j.die()
	uptime = uptime.Add(time.Hour)
	j = open()
	f := j.Found()
	if len(f) != 1 || !f[0].SameBoot || f[0].Remaining(uptime) != 50*365*24*time.Hour-time.Hour {
		t.Errorf("found %+v", f)
	}
	j.die()
}

// TestBootTime: it is what the kernel says.
func TestBootTime(t *testing.T) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	var seconds float64
	if _, err := fmt.Sscan(string(text), &seconds); err != nil {
		t.Fatal(err)
	}
	got := BootTime()
	before := time.Unix(0, int64(seconds*1e9)-int64(10*time.Millisecond)) // in hundredths
	if got.Before(before) || got.After(before.Add(time.Minute)) {
		t.Errorf("%v since boot, /proc/uptime says %v s", got.Sub(time.Unix(0, 0)), seconds)
	}
}

// TestWallClock: nobody's setting of the clock moves a door's time.
func TestWallClock(t *testing.T) {
	dir, uptime := t.TempDir(), time.Unix(1000, 0)
	open := func(wall int64) *Journal {
		j := mustOpen(t, dir, "boot")
		j.wall = func() time.Time { return time.Unix(wall, 0) }
		j.SetClock(func() time.Time { return uptime })
		return j
	}
	j := open(4e9) // 2096
	j.Begin(1, closedBy("stop", time.Minute))
	j.Opened(1)
	j.die()
	uptime = uptime.Add(time.Second)
	j = open(0) // 1970
	if f := j.Found(); len(f) != 1 || f[0].Remaining(uptime) != 59*time.Second {
		t.Errorf("found %v", f)
	}
	j.die()
	// And a machine's clock since boot that has gone back (it was moved, or
	// somebody writes journals) keeps a door open no longer than its time.
	o := Opening{Opening: knock.Opening{Timeout: time.Minute}, Begun: int64(time.Hour)}
	if d := o.Remaining(time.Unix(1, 0)); d != time.Minute {
		t.Errorf("remaining %v", d)
	}
}

func TestReadOnlyDisk(t *testing.T) {
	nettest.OnSmallDisk(t, "size=64k", func(dir string) {
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Error(err)
		}
		_, err := Open(dir, "test")
		want := "open " + dir + "/test.lock: read-only file system"
		if !errors.Is(err, syscall.EROFS) || errors.Is(err, ErrUnsafe) || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		_, err = Open(dir+"/state", "test")
		want = "mkdir " + dir + "/state: read-only file system"
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

// TestFullDiskNoLoss: what was in the journal before the disk was full is still
// there after a crash, and what has ended meanwhile may run once more.
func TestFullDiskNoLoss(t *testing.T) {
	nettest.OnSmallDisk(t, "size=64k", func(dir string) {
		j, err := Open(dir, "test")
		if err != nil {
			t.Error(err)
			return
		}
		r := closedBy("stop", time.Hour)
		j.Begin(1, r)
		j.Begin(2, r)
		_ = os.WriteFile(filepath.Join(dir, "junk"), make([]byte, 1<<20), 0o600)
		for range 100 { // up to the end of the page, then no more
			j.Begin(3, r)
			j.Ended(3)
		}
		j.Ended(1)
		if j.Reliable() {
			t.Error("the disk is not full")
		}
		j.die()
		j, err = Open(dir, "test")
		if err != nil {
			t.Error(err)
			return
		}
		if f := j.Found(); len(f) < 2 || f[0].ID != 1 || f[1].ID != 2 || j.damaged != 0 {
			t.Errorf("found %v, %d damaged", f, j.damaged)
		}
		j.die()
	})
}

// TestFileNamed: who is told of a failure learns the journal's name, also after
// it was written anew.
func TestFileNamed(t *testing.T) {
	dir := t.TempDir()
	j := mustOpen(t, dir, "boot")
	defer j.die()
	var told []event.Event
	j.SetLog(func(e event.Event) { told = append(told, e) })
	j.rewrite()
	j.mu.Lock()
	j.fail("write", &os.PathError{Op: "write", Path: dir, Err: syscall.ENOSPC})
	j.mu.Unlock()
	want := event.JournalFailed{Doing: "write", File: dir + "/test.journal", Err: syscall.ENOSPC}
	if len(told) != 1 || told[0] != event.Event(want) {
		t.Errorf("told %v, want %v", told, want)
	}
}
