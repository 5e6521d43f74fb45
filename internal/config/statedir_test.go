package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"knockd/internal/nettest"
)

// TestStateDir: the last StateDir counts, faults or not, but nothing of a file
// that Load refuses as a whole.
func TestStateDir(t *testing.T) {
	names := func(dir string) string { return "[options]\nStateDir = " + dir + "\n" }
	for _, c := range []struct {
		name     string
		root     bool
		make     func(path string) error // a drop-in
		want     string
		warnings string
	}{
		{"none", false, func(string) error { return nil }, "/main", ""},
		{"a drop-in", false, func(p string) error { return os.WriteFile(p, []byte(names("/dropin")), 0o600) }, "/dropin", ""},
		{"a faulty drop-in", false, func(p string) error { return os.WriteFile(p, []byte(names("/dropin")+"[a]\nrubbish\n"), 0o600) }, "/dropin", ""},
		{"no drop-in by its name", false, func(p string) error { return os.WriteFile(p+"~", []byte(names("/dropin")), 0o600) }, "/main", ""},
		{"others can write it", true, func(p string) error {
			if err := os.WriteFile(p, []byte(names("/dropin")), 0o600); err != nil {
				return err
			}
			return os.Chmod(p, 0o666)
		}, "/main", "DROPIN: others can write it (mode 0666): must be writable by root alone"},
		{"of another", true, func(p string) error {
			if err := os.WriteFile(p, []byte(names("/dropin")), 0o600); err != nil {
				return err
			}
			return os.Chown(p, 1234, 1234)
		}, "/main", "DROPIN: belongs to user 1234: must belong to root"},
		{"a pipe", false, func(p string) error { return syscall.Mkfifo(p, 0o600) }, "/main", "DROPIN: must be a plain file"},
		{"zeros", false, func(p string) error { return os.Symlink("/dev/zero", p) }, "/main", "DROPIN: must be a plain file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.root {
				nettest.NeedRealRoot(t)
			}
			path := filepath.Join(t.TempDir(), "[k].conf")
			dropIn := path + ".d/x.conf"
			nettest.Write(t, path, "rubbish\n"+names("/main"))
			if err := os.Mkdir(path+".d", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := c.make(dropIn); err != nil {
				t.Fatal(err)
			}
			dir, warnings := StateDir(path)
			if got := strings.ReplaceAll(strings.Join(warnings, "\n"), dropIn, "DROPIN"); dir != c.want || got != c.warnings {
				t.Errorf("%s, %q; want %s, %q", dir, got, c.want, c.warnings)
			}
		})
	}
	if dir, warnings := StateDir("/none"); dir != "" || !slices.Equal(warnings, []string{"/none: open: no such file or directory"}) {
		t.Errorf("no file: %q, %s", dir, fmt.Sprint(warnings))
	}
}
