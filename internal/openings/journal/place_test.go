package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"knockd/internal/nettest"
)

func TestName(t *testing.T) {
	t.Chdir("/tmp")
	for _, c := range []struct{ config, iface, want string }{
		{"/etc/knockd.conf", "", "etc-knockd.conf"},
		{"/etc//../etc/knockd.conf", "eth0", "etc-knockd.conf@eth0"},
		{"a-b/c d.conf", "eth0.5", "tmp-a%2Db-c%20d.conf@eth0.5"},
		{"/a/b@c", "", "a-b%40c"},
	} {
		if got, err := Name(c.config, c.iface); got != c.want || err != nil {
			t.Errorf("%s %s: %q, %v; want %q", c.config, c.iface, got, err, c.want)
		}
	}
	long1, _ := Name("/"+strings.Repeat("x/", 300)+"1", "")
	long2, _ := Name("/"+strings.Repeat("x/", 300)+"2", "")
	if len(long1) > 200 || long1 == long2 {
		t.Errorf("long names: %q, %q", long1, long2)
	}
}

func TestLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b") // is made
	j := mustOpen(t, dir, "boot")
	_, err := Open(dir, "test")
	var running *RunningError
	if !errors.As(err, &running) || err.Error() != fmt.Sprintf("already running (pid %d)", os.Getpid()) {
		t.Errorf("error %v", err)
	}
	other, err := Open(dir, "test@eth0")
	if err != nil {
		t.Error(err)
	} else {
		other.Close()
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	mustOpen(t, dir, "boot").Close()
	for name, want := range map[string]os.FileMode{"": 0o700, "test.journal": 0o600, "test.lock": 0o600} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", name, st.Mode(), err)
		}
	}
}

// TestCheckChangesNothing: what could be opened is neither made nor changed.
func TestCheckChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "state")
	if err := Check(dir, "test"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("made: %v", err)
	}
	j := mustOpen(t, dir, "boot")
	defer j.Close()
	if err := Check(dir, "test"); err != nil {
		t.Errorf("while a daemon runs: %v", err)
	}
	err := Check("/proc/self/status/state", "test")
	if want := "open /proc/self/status/state: not a directory"; !strings.Contains(fmt.Sprint(err), "not a directory") {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestUnsafe: what somebody else could write is refused.
func TestUnsafe(t *testing.T) {
	for _, c := range []struct {
		name string
		root bool
		make func(dir string) error
		want string
	}{
		{"directory others can write", false, func(d string) error { return os.Chmod(d, 0o777) },
			"DIR: not safe: others can write it (mode 0777)"},
		{"directory a group can write", false, func(d string) error { return os.Chmod(d, 0o770) },
			"DIR: not safe: others can write it (mode 0770)"},
		{"directory of another", true, func(d string) error { return os.Chown(d, 1234, 0) },
			"DIR: not safe: owned by user 1234"},
		{"link to a directory", false, func(d string) error {
			return errors.Join(os.Rename(d, d+"x"), os.Symlink(d+"x", d))
		}, "DIR: not safe: not a directory, or a symbolic link"},
		{"file for a directory", false, func(d string) error {
			return errors.Join(os.Remove(d), os.WriteFile(d, nil, 0o600))
		}, "DIR: not safe: not a directory, or a symbolic link"},
		{"journal a link", false, func(d string) error { return os.Symlink("/etc/passwd", d+"/test.journal") },
			"DIR/test.journal: not safe: a symbolic link"},
		{"journal a dangling link", false, func(d string) error { return os.Symlink(d+"/no", d+"/test.journal") },
			"DIR/test.journal: not safe: a symbolic link"},
		{"lock a link", false, func(d string) error { return os.Symlink(d+"/no", d+"/test.lock") },
			"DIR/test.lock: not safe: a symbolic link"},
		{"journal others can write", false, func(d string) error {
			return errors.Join(os.WriteFile(d+"/test.journal", nil, 0o600), os.Chmod(d+"/test.journal", 0o602))
		}, "DIR/test.journal: not safe: others can write it (mode 0602)"},
		{"journal of another", true, func(d string) error {
			return errors.Join(os.WriteFile(d+"/test.journal", nil, 0o600), os.Chown(d+"/test.journal", 1234, 0))
		}, "DIR/test.journal: not safe: owned by user 1234"},
		{"journal a pipe", false, func(d string) error { return syscall.Mkfifo(d+"/test.journal", 0o600) },
			"DIR/test.journal: not safe: not a regular file"},
		{"journal a directory", false, func(d string) error { return os.Mkdir(d+"/test.journal", 0o700) },
			"DIR/test.journal: not safe: not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.root {
				nettest.NeedRealRoot(t)
			}
			dir := filepath.Join(t.TempDir(), "state")
			if err := errors.Join(os.Mkdir(dir, 0o700), c.make(dir)); err != nil {
				t.Fatal(err)
			}
			checked := Check(dir, "test")
			j, err := Open(dir, "test")
			if err == nil {
				j.Close()
				t.Fatal("accepted")
			}
			if checked == nil || checked.Error() != err.Error() {
				t.Errorf("checked: %v; opened: %v", checked, err)
			}
			if got := strings.ReplaceAll(err.Error(), dir, "DIR"); !errors.Is(err, ErrUnsafe) || got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// mustOpen opens the journal "test" in a directory, as if under a boot.
func mustOpen(t testing.TB, dir, boot string) *Journal {
	t.Helper()
	j, err := Open(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	j.boot = boot
	return j
}
