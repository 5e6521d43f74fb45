package statefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"knockd/internal/nettest"
)

func mustDir(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := MakeDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestDirRefuses: what others could write, or have put there, is refused, and
// said the same by CheckDir, which changes nothing.
func TestDirRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(dir string) error
		want string
	}{
		{"others can write the directory", func(d string) error { return os.Chmod(d, 0o777) },
			"DIR: others can write it (mode 0777): must be writable by root alone"},
		{"a file for it", func(d string) error { return errors.Join(os.Remove(d), os.WriteFile(d, nil, 0o600)) },
			"DIR: not a directory, or a symbolic link"},
		{"a link for it", func(d string) error { return errors.Join(os.Rename(d, d+"x"), os.Symlink(d+"x", d)) },
			"DIR: not a directory, or a symbolic link"},
		{"others can write the file", func(d string) error {
			return errors.Join(os.WriteFile(d+"/f", nil, 0o600), os.Chmod(d+"/f", 0o620))
		}, "DIR/f: others can write it (mode 0620): must be writable by root alone"},
		{"a link for the file", func(d string) error { return os.Symlink("/etc/passwd", d+"/f") },
			"open DIR/f: too many levels of symbolic links"},
		{"a pipe for the file", func(d string) error { return syscall.Mkfifo(d+"/f", 0o600) },
			"DIR/f: not a regular file"},
		{"a directory for the file", func(d string) error { return os.Mkdir(d+"/f", 0o700) },
			"open DIR/f: is a directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			if err := errors.Join(os.Mkdir(dir, 0o700), c.make(dir)); err != nil {
				t.Fatal(err)
			}
			checked := CheckDir(dir, "f")
			d, err := MakeDir(dir)
			if err == nil {
				defer d.Close()
				_, err = d.Open("f", os.O_CREATE)
			}
			if err == nil || strings.ReplaceAll(err.Error(), dir, "DIR") != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if checked == nil || err == nil || checked.Error() != err.Error() {
				t.Errorf("checked: %v", checked)
			}
		})
	}
}

// TestLock: a lock is one process's, who has it can leave a note, and it is free
// when its file is closed.
func TestLock(t *testing.T) {
	d := mustDir(t, filepath.Join(t.TempDir(), "a", "b"))
	f, err := d.Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("me\n"); err != nil {
		t.Fatal(err)
	}
	_, err = d.Lock("lock")
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Note != "me" || err.Error() != d.Path("lock")+": somebody else holds it" {
		t.Errorf("error %v", err)
	}
	f.Close()
	if f, err = d.Lock("lock"); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// TestLog: a file grows by whole lines, loses a torn one, and is replaced without
// a line that was appended meanwhile being lost.
func TestLog(t *testing.T) {
	d := mustDir(t, t.TempDir())
	nettest.Write(t, d.Path("log"), "one\ntwo\nto")
	l := d.Log("log")
	if text, err := l.Open(0, 9); text != nil || !errors.Is(err, ErrTooLong) {
		t.Errorf("longer than permitted: %q, %v", text, err)
	}
	text, err := l.Open(0, 0)
	if err != nil || string(text) != "one\ntwo\nto" {
		t.Fatalf("%q, %v", text, err)
	}
	defer l.Close()
	is := func(want string) {
		t.Helper()
		got, err := os.ReadFile(d.Path("log"))
		if err != nil || string(got) != want || l.Size() != int64(len(want)) || !l.Intact() {
			t.Errorf("%q, %v, size %d, intact %v; want %q", got, err, l.Size(), l.Intact(), want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(l.Cut(8))
	must(l.Append([]byte("three\n")))
	must(l.Sync())
	is("one\ntwo\nthree\n")

	must(os.WriteFile(d.Path("log.new"), []byte("of a process that died"), 0o600))
	s, err := l.Successor([]byte("three\n"), l.Size())
	must(err)
	must(l.Append([]byte("four\n")))
	must(s.Commit())
	must(l.SyncName())
	is("three\nfour\n")
	must(l.Append([]byte("five\n")))
	is("three\nfour\nfive\n")

	s, err = l.Successor([]byte("no\n"), l.Size())
	must(err)
	s.Discard()
	is("three\nfour\nfive\n")
	if d.Has("log.new") {
		t.Error("what did not come in the log's place is still there")
	}
	must(os.Remove(d.Path("log")))
	if l.Intact() {
		t.Error("intact without a file")
	}
}
