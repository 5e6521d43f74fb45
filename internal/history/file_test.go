package history

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// log takes what a history says.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) event(e event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, e.Text())
}

// said is what was said since it was asked last.
func (l *log) said() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// pathIn returns a path in a directory of the test's own.
func pathIn(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "history")
}

// withFile is a history with a file, as of the first hour of the test's day.
func withFile(t *testing.T, path string, set ...func(*Settings)) (*History, *log) {
	t.Helper()
	l := &log{}
	s := Settings{File: path, Octets: DefaultOctets, Age: time.Since(began).Abs() + DefaultAge}
	for _, f := range set {
		f(&s)
	}
	h := New(s, l.event)
	t.Cleanup(h.Close)
	return h, l
}

// some has something happen.
func some(h *History) {
	wide := native(web, "192.0.2.7")
	wide.For, wide.Knocker.Host, wide.UID = "192.0.2.0/24", "host.example", user(1000)
	h.Event(after(0), event.Opened{Opening: wide})
	h.Event(after(1), event.CommandStarted{Opening: asking(command(ssh, "2001:db8::1"), "lap\"top")})
	h.Event(after(2), event.Closed{Opening: wide, Why: "door removed"})
}

var ofSome = []string{
	`ssh 2001:db8::1 client lap"top 1-`,
	"web#2 192.0.2.7 (host.example) for 192.0.2.0/24 tcp/22 user 1000 0-2: door removed",
}

// TestFile: what is remembered survives, and the file is ours alone.
func TestFile(t *testing.T) {
	path := pathIn(t)
	h, log := withFile(t, path)
	some(h)
	h.Close()
	h.Event(after(3), event.Opened{Opening: native(ssh, "192.0.2.9")}) // is lost
	const want = header +
		`{"n":1,"opened":"2026-11-28T09:30:00.123Z","door":"web","nth":2,"address":"192.0.2.7","host":"host.example","for":"192.0.2.0/24","what":"tcp/22","uid":1000}` + "\n" +
		`{"n":2,"opened":"2026-11-28T09:30:01.123Z","door":"ssh","address":"2001:db8::1","client":"lap\"top"}` + "\n" +
		`{"n":1,"closed":"2026-11-28T09:30:02.123Z","why":"door removed"}` + "\n"
	if got := nettest.Read(t, path); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := Check(path); err != nil {
		t.Error(err)
	}
	again, log2 := withFile(t, path)
	if got := recorded(again, Query{}); !slices.Equal(got, ofSome) {
		t.Errorf("%q\nwant %q", got, ofSome)
	}
	again.Event(after(4), event.Closed{Opening: command(ssh, "2001:db8::1")})
	if got := recorded(again, Query{}); got[0] != `ssh 2001:db8::1 client lap"top 1-4` {
		t.Errorf("the end of what an earlier run began: %s", got[0])
	}
	again.Close()
	if got := nettest.Read(t, path); !strings.HasSuffix(got, `{"n":2,"closed":"2026-11-28T09:30:04.123Z"}`+"\n") {
		t.Error(got)
	}
	consistent(t, again)
	if said := append(log.said(), log2.said()...); said != nil {
		t.Errorf("%q", said)
	}
}

// TestTorn: wherever a crash cuts the file, the whole lines count, nothing is
// said, and the file is whole again.
func TestTorn(t *testing.T) {
	path := pathIn(t)
	h, _ := withFile(t, path)
	some(h)
	h.Close()
	text := nettest.Read(t, path)
	for n := range len(text) + 1 {
		nettest.Write(t, path, text[:n])
		h, log := withFile(t, path)
		var want []string
		switch strings.Count(text[:n], "\n") {
		case 2:
			want = []string{"web#2 192.0.2.7 (host.example) for 192.0.2.0/24 tcp/22 user 1000 0-"}
		case 3:
			want = []string{ofSome[0], "web#2 192.0.2.7 (host.example) for 192.0.2.0/24 tcp/22 user 1000 0-"}
		case 4:
			want = ofSome
		}
		if got := recorded(h, Query{}); !slices.Equal(got, want) {
			t.Errorf("cut at %d: %q, want %q", n, got, want)
		}
		h.Close()
		if got := nettest.Read(t, path); !strings.HasPrefix(got, header) || !strings.HasSuffix(got, "\n") || strings.Count(got, "\n") != len(want)+1 {
			t.Errorf("cut at %d, then:\n%s", n, got)
		}
		if said := log.said(); said != nil {
			t.Errorf("cut at %d: %q", n, said)
		}
	}
}

// TestDamaged: lines that say nothing are counted, the others count.
func TestDamaged(t *testing.T) {
	path := pathIn(t)
	text := header + "junk\n" + `{"n":1}` + "\n" + `{"n":2,"opened":"2026-11-28T09:30:00Z","door":"ssh","address":"192.0.2.7"}` + "\n\x00\n" +
		`{"n":3,"opened":"2026-11-28T09:30:00Z","door":"ssh","address":"nobody"}` + "\n" + `{"n":9,"closed":"2026-11-28T09:30:01Z"}` + "\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	h, log := withFile(t, path)
	if got := recorded(h, Query{}); len(got) != 1 {
		t.Errorf("%q", got)
	}
	if said := log.said(); !slices.Equal(said, []string{"history: " + path + ": damaged lines skipped: 4"}) {
		t.Errorf("%q", said)
	}
}

// TestRefused: a file that is not ours is left alone, and the past is remembered
// all the same.
func TestRefused(t *testing.T) {
	path := pathIn(t)
	for _, c := range []struct {
		name    string
		prepare func() error
		want    string
	}{
		{"something else", func() error {
			return os.WriteFile(path, []byte("[2026-11-28 09:30] 192.0.2.7: ssh: OPEN SESAME\n"), 0o600)
		},
			path + ": it holds something else, and stays as it is"},
		{"others can write it", func() error {
			if err := os.WriteFile(path, []byte(header), 0o600); err != nil {
				return err
			}
			return os.Chmod(path, 0o666)
		}, path + ": others can write it (mode 0666): must be writable by root alone"},
		{"a pipe", func() error { return unix.Mkfifo(path, 0o600) }, path + ": not a regular file"},
		{"a link", func() error { return os.Symlink(path+"2", path) }, "open " + path + ": too many levels of symbolic links"},
		{"a directory", func() error { return os.Mkdir(path, 0o700) }, "open " + path + ": is a directory"},
	} {
		if err := c.prepare(); err != nil {
			t.Fatal(err)
		}
		if err := Check(path); err == nil || c.name != "a directory" && err.Error() != c.want {
			t.Errorf("%s: Check says %v", c.name, err)
		}
		before, _ := os.Lstat(path)
		h, log := withFile(t, path)
		some(h)
		if got := recorded(h, Query{}); !slices.Equal(got, ofSome) {
			t.Errorf("%s: %q", c.name, got)
		}
		h.Close()
		want := "history: " + c.want + ": who is let in is remembered in memory alone until this is over"
		if said := log.said(); !slices.Equal(said, []string{want}) {
			t.Errorf("%s: %q\nwant %q", c.name, said, want)
		}
		if now, err := os.Lstat(path); err != nil || now.Mode() != before.Mode() || now.Size() != before.Size() {
			t.Errorf("%s: changed", c.name)
		}
		os.Remove(path)
	}
	dir := filepath.Dir(path)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	_, log := withFile(t, path)
	if said := log.said(); len(said) != 1 || !strings.HasPrefix(said[0], "history: "+dir+": others can write it (mode 0777)") {
		t.Errorf("a directory of all: %q", said)
	}
}

// TestTwo: a second process leaves the file to the first.
func TestTwo(t *testing.T) {
	path := pathIn(t)
	first, _ := withFile(t, path)
	second, log := withFile(t, path)
	some(second)
	second.Close()
	if said := log.said(); len(said) != 1 || !strings.HasPrefix(said[0], "history: "+path+": another process writes it") {
		t.Errorf("%q", said)
	}
	some(first)
	first.Close()
	if got := strings.Count(nettest.Read(t, path), "\n"); got != 4 {
		t.Errorf("%d lines", got)
	}
}

// TestBounded: the file is never longer than it may be, what is written in an
// hour is bounded, and all that is remembered is in it in the end.
func TestBounded(t *testing.T) {
	path := pathIn(t)
	synctest.Test(t, func(t *testing.T) {
		const size = 64 << 10
		h, log := withFile(t, path, func(s *Settings) { s.Octets = size })
		wrote, before := int64(0), int64(0)
		for second := range 2 * 3600 {
			if second%60 == 0 { // a hundred at once, each minute
				for i := range 100 {
					h.Event(time.Now(), event.CommandStarted{Opening: command(ssh, fmt.Sprintf("10.0.%d.%d", second/60, i))})
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
			now := int64(len(nettest.Read(t, path)))
			if now > size {
				t.Fatalf("%d octets", now)
			}
			switch {
			case now > before:
				wrote += now - before
			case now < before:
				wrote += now
			}
			before = now
		}
		if wrote > 3*size || wrote < size {
			t.Errorf("%d octets written in two hours", wrote)
		}
		left := recorded(h, Query{})
		h.Close()
		again, _ := withFile(t, path, func(s *Settings) { s.Octets = size })
		if got := recorded(again, Query{}); len(left) < 100 || len(got) < len(left) || !slices.Equal(got[:len(left)], left) {
			t.Errorf("%d visits of %d are in the file", len(got), len(left)) // it may hold some that were forgotten since
		}
		again.Close()
		if said := log.said(); said != nil {
			t.Errorf("%q", said)
		}
	})
}

// TestTooOld: nothing is in the file beyond its age by more than an hour, though
// nothing happens.
func TestTooOld(t *testing.T) {
	path := pathIn(t)
	synctest.Test(t, func(t *testing.T) {
		h, _ := withFile(t, path, func(s *Settings) { s.Age = 24 * time.Hour })
		o := native(ssh, "192.0.2.7")
		h.Event(time.Now(), event.Opened{Opening: o})
		h.Event(time.Now(), event.Closed{Opening: o})
		h.Event(time.Now(), event.Opened{Opening: native(ssh, "192.0.2.8")})
		time.Sleep(24 * time.Hour)
		if !strings.Contains(nettest.Read(t, path), "192.0.2.7") {
			t.Error("forgotten too soon")
		}
		time.Sleep(slack + time.Minute)
		synctest.Wait()
		if text := nettest.Read(t, path); strings.Contains(text, "192.0.2.7") || !strings.Contains(text, "192.0.2.8") {
			t.Errorf("%s", text)
		}
		h.Close()
	})
}

// TestTakenAway: a file that was taken away, or emptied, is written anew.
func TestTakenAway(t *testing.T) {
	path := pathIn(t)
	synctest.Test(t, func(t *testing.T) {
		h, log := withFile(t, path)
		some(h)
		time.Sleep(2 * gather)
		for _, do := range []func() error{
			func() error { return os.Rename(path, path+".1") },
			func() error { return os.Truncate(path, 0) },
		} {
			if err := do(); err != nil {
				t.Fatal(err)
			}
			h.Event(after(5), event.Opened{Opening: native(ssh, "192.0.2.9")})
			h.Event(after(6), event.Closed{Opening: native(ssh, "192.0.2.9")})
			time.Sleep(2 * gather)
			if text := nettest.Read(t, path); !strings.HasPrefix(text, header) || !strings.Contains(text, "192.0.2.9") || !strings.Contains(text, "192.0.2.7") {
				t.Errorf("%s", text)
			}
		}
		h.Close()
		if said := log.said(); said != nil {
			t.Errorf("%q", said)
		}
	})
}

// TestFullDisk: a disk that takes nothing is said once, and so is that it does
// again; nothing is lost then.
func TestFullDisk(t *testing.T) {
	nettest.NeedRealRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16k,mode=0700"); err != nil {
		nettest.LacksKernel(t, fmt.Sprintf("tmpfs: %v", err))
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	path := filepath.Join(dir, "history")
	synctest.Test(t, func(t *testing.T) {
		h, log := withFile(t, path)
		if err := os.WriteFile(filepath.Join(dir, "fills"), bytes.Repeat([]byte{1}, 8<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			h.Event(after(i), event.CommandStarted{Opening: command(ssh, fmt.Sprintf("192.0.2.%d", i))})
			time.Sleep(gather)
		}
		time.Sleep(2 * leastPause)
		if said := log.said(); len(said) != 1 || !strings.Contains(said[0], "no space left on device: who is let in") {
			t.Errorf("%q", said)
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=1m,mode=0700"); err != nil {
			t.Fatal(err)
		}
		h.Set(h.set) // a reload
		time.Sleep(gather)
		if said := log.said(); !slices.Equal(said, []string{"history: " + path + ": written again: all that is remembered is in it"}) {
			t.Errorf("%q", said)
		}
		if n := strings.Count(nettest.Read(t, path), "\n"); n != 201 {
			t.Errorf("%d lines", n)
		}
		h.Close()
	})
}

// TestDeadDisk: a disk that does not answer holds nobody up, and is said once.
func TestDeadDisk(t *testing.T) {
	t.Parallel()
	nettest.NeedRealRoot(t)
	dir := t.TempDir()
	nettest.DeadMount(t, dir)
	h, log := withFile(t, filepath.Join(dir, "history"))
	some(h)
	if got := recorded(h, Query{}); !slices.Equal(got, ofSome) {
		t.Errorf("%q", got)
	}
	h.Close()
	if said := log.said(); len(said) != 1 || !strings.Contains(said[0], "no answer in time") {
		t.Errorf("%q", said)
	}
}

// TestSet: a reload may name another file, or the first one, whose past is added.
func TestSet(t *testing.T) {
	path := pathIn(t)
	first, _ := withFile(t, path)
	some(first)
	first.Close()
	synctest.Test(t, func(t *testing.T) {
		set := Settings{Octets: DefaultOctets, Age: DefaultAge * 1000}
		l := &log{}
		h := New(set, l.event)
		h.Reconcile(nil)
		h.Event(after(10), event.Opened{Opening: native(ssh, "192.0.2.9")})
		lost := `ssh 2001:db8::1 client lap"top 1-: knockd was not running`
		want := []string{"ssh 192.0.2.9 tcp/22 10-", lost, ofSome[1]}
		for i, file := range []string{path, path + "2", "", path} {
			set.File = file
			h.Set(set)
			time.Sleep(2 * gather)
			synctest.Wait()
			if got := recorded(h, Query{}); !slices.Equal(got, want) {
				t.Errorf("%d: %q\nwant %q", i, got, want)
			}
			if file != "" && strings.Count(nettest.Read(t, file), "\n") != 4 {
				t.Errorf("%d:\n%s", i, nettest.Read(t, file))
			}
			consistent(t, h)
		}
		h.Event(after(11), event.Closed{Opening: native(ssh, "192.0.2.9")})
		h.Close()
		if said := l.said(); said != nil {
			t.Errorf("%q", said)
		}
	})
	if text := nettest.Read(t, path); !strings.Contains(text, `"closed":"2026-11-28T09:30:11.123Z"`) {
		t.Error(text)
	}
}

// FuzzParse: whatever a file holds, reading it does not panic, keeps no more than
// there is, and what was read reads the same when written anew.
func FuzzParse(f *testing.F) {
	f.Add([]byte(header + `{"n":1,"opened":"2026-11-28T09:30:00.123Z","door":"web","nth":2,"address":"192.0.2.7","for":"192.0.2.0/24","uid":0}` + "\n" +
		`{"n":1,"closed":"2026-11-28T09:30:02.123Z","why":"door removed"}` + "\n" + `{"n":2}` + "\njunk\n{\"n\":"))
	f.Add([]byte(header[:7]))
	f.Add([]byte(header + `{"n":1,"opened":"0001-01-01T00:00:00.001Z","door":"\u0000\ufffd","address":"fe80::1%eth0","why":"\u2028"}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k := parse(text)
		if lines := bytes.Count(text, []byte("\n")); len(k.visits)+k.damaged > lines {
			t.Fatalf("%d visits, %d damaged, of %d lines", len(k.visits), k.damaged, lines)
		}
		h := New(Settings{Octets: MaxOctets, Age: time.Duration(1<<63 - 1)}, func(event.Event) {})
		defer h.Close()
		h.now = func() time.Time { return time.Unix(0, 0) }
		h.merge(k.visits)
		again := parse(h.all())
		if again.damaged > 0 || again.foreign || len(again.visits) > len(k.visits) {
			t.Fatalf("written anew: %+v", again)
		}
		for i, v := range again.visits {
			e := h.visits.Front()
			for range i {
				e = e.Next()
			}
			if old := e.Value.(*entry); spell(v) != spell(&old.Visit) {
				t.Fatalf("%s, was %s", spell(v), spell(&old.Visit))
			}
		}
		h.Reconcile([]knock.Opening{})
		consistent(t, h)
	})
}

// TestSetWrong: of each file that cannot be used it is said, once, however long it
// lasts, and a reload looks again.
func TestSetWrong(t *testing.T) {
	path := pathIn(t)
	for _, name := range []string{path + "1", path + "2"} {
		if err := os.WriteFile(name, []byte("something else\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		set := Settings{File: path + "1", Octets: DefaultOctets, Age: DefaultAge * 1000}
		l := &log{}
		h := New(set, l.event)
		time.Sleep(24 * time.Hour)
		set.File = path + "2"
		h.Set(set)
		time.Sleep(24 * time.Hour)
		if said := l.said(); len(said) != 2 || !strings.Contains(said[0], path+"1: it holds") || !strings.Contains(said[1], path+"2: it holds") {
			t.Errorf("%q", said)
		}
		if err := os.Remove(path + "2"); err != nil {
			t.Fatal(err)
		}
		h.Set(set)
		synctest.Wait()
		if said := l.said(); len(said) != 1 || !strings.Contains(said[0], path+"2: written again") {
			t.Errorf("%q", said)
		}
		h.Close()
	})
}
