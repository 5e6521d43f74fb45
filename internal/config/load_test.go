package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// notRoot loads as an ordinary user does, whoever owns the files of testdata.
func notRoot(path string) (*Config, error) { return (&loader{with: Extras{Trace: true}}).load(path) }

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "knockd.conf")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) || err.Error() != "read configuration: open "+path+": no such file or directory" {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Load(dir); err == nil || err.Error() != "read configuration: read "+dir+": is a directory" {
		t.Errorf("directory: %v", err)
	}
	nettest.Write(t, path, "[a]\nsequence = 1\n")
	c, err := Load(path)
	if err != nil || len(c.Doors) != 1 || c.Doors[0].Place != (Place{path, 1}) || c.Trace != nil {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := LoadWith(path, Extras{Trace: true}); err != nil || len(c.Trace) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestDropIns(t *testing.T) {
	c, err := notRoot("testdata/dropin/good/knockd.conf")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %v %s %v %v %d %d\n", c.LogFile, c.Interfaces, c.StateDir, c.KeepOnStop, c.StartLimit, c.MaxAttempts, c.LogRate)
	for _, d := range c.Doors {
		got += fmt.Sprintf("%v %s/%d %v %v %q %q %v %v\n", d.Place, d.Name, d.N, FormatSequence(d.Sequence), d.Flags,
			d.StartCommand, d.StopCommand, d.CmdTimeout, d.StartLimit)
	}
	got += strings.Join(c.Warnings, "\n") + "\n" + strings.Join(c.Trace, "\n") + "\n"
	nettest.Golden(t, "testdata/dropin/good.txt", got)
}

func TestDropInFaults(t *testing.T) {
	c, err := notRoot("testdata/dropin/bad/knockd.conf")
	if c != nil || err == nil {
		t.Fatalf("%+v, %v", c, err)
	}
	nettest.Golden(t, "testdata/dropin/bad.stderr", err.Error()+"\n")
}

// TestOthersCanWrite: what root will run must be root's own. The user of the
// test counts as root.
func TestOthersCanWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "k.conf")
	dropIn := filepath.Join(path+".d", "x.conf")
	if err := os.Mkdir(path+".d", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, dropIn} {
		nettest.Write(t, file, "[a]\nsequence = 1\nnew = yes\n")
	}
	nettest.Write(t, path, "[b]\nsequence = 1\n")
	const rule, secret = ": must be writable by root alone", ": must be readable by root alone"
	for _, c := range []struct {
		file     string
		mode     fs.FileMode
		err      string
		warnings string
	}{
		{path, 0o640, "", ""},
		{path, 0o644, "", path + ": everybody can read its sequences (mode 0644)" + secret},
		{path, 0o660, "", path + ": others can write it (mode 0660)" + rule},
		{path, 0o646, "", path + ": others can write it (mode 0646)" + rule + "\n" +
			path + ": everybody can read its sequences (mode 0646)" + secret},
		{dropIn, 0o644, "", dropIn + ": everybody can read its sequences (mode 0644)" + secret},
		{dropIn, 0o664, dropIn + ": others can write it (mode 0664)" + rule, ""},
		{dropIn, 0o602, dropIn + ": others can write it (mode 0602)" + rule, ""},
		{path + ".d", 0o777 | fs.ModeSticky, path + ".d: others can write it (mode 0777)" + rule, ""},
	} {
		was, err := os.Stat(c.file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(c.file, c.mode); err != nil {
			t.Fatal(err)
		}
		config, err := (&loader{root: true}).load(path)
		if text := fmt.Sprint(err); c.err != "" && text != c.err || c.err == "" && err != nil {
			t.Errorf("%s, mode %v: %v, want %s", c.file, c.mode, err, c.err)
		}
		if err == nil && strings.Join(config.Warnings, "\n") != c.warnings {
			t.Errorf("%s, mode %v: warns %q, want %q", c.file, c.mode, config.Warnings, c.warnings)
		}
		if _, err := notRoot(path); err != nil {
			t.Errorf("%s, mode %v, not as root: %v", c.file, c.mode, err)
		}
		if err := os.Chmod(c.file, was.Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestForeignOwner needs root, to give a file away.
func TestForeignOwner(t *testing.T) {
	nettest.NeedRealRoot(t)
	path := filepath.Join(t.TempDir(), "k.conf")
	dropIn := filepath.Join(path+".d", "x.conf")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Mkdir(path+".d", 0o700), os.WriteFile(dropIn, nil, 0o600),
		os.Chown(dropIn, 1234, 0), os.Chown(path, 1234, 0)); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path)
	if want := dropIn + ": belongs to user 1234: must belong to root"; fmt.Sprint(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := os.Remove(dropIn); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := path + ": belongs to user 1234: must belong to root"; c.Warnings[len(c.Warnings)-1] != want {
		t.Errorf("%q, want %s", c.Warnings, want)
	}
}

func TestMissingDropIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.conf")
	dropIn := filepath.Join(path+".d", "x.conf")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Mkdir(path+".d", 0o700), os.Symlink("nowhere", dropIn)); err != nil {
		t.Fatal(err)
	}
	if _, err := notRoot(path); !errors.Is(err, fs.ErrNotExist) || err.Error() != dropIn+": open: no such file or directory" {
		t.Errorf("%v", err)
	}
}

// TestNothingSecret: a file without sequences may be read by everybody.
func TestNothingSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.conf")
	if err := os.WriteFile(path, []byte("[a]\n# sequence = 1\none_time_sequences = /x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err := (&loader{root: true}).load(path); err != nil || len(c.Warnings) > 0 {
		t.Errorf("%v, warns %q", err, c.Warnings)
	}
}

// TestPipeAsConfiguration: a pipe is not waited for, unless it is our own.
func TestPipeAsConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.conf")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := notRoot(path); fmt.Sprint(err) != "read configuration: "+path+": not a regular file" {
		t.Errorf("%v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("[a]\nsequence = 1\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if c, err := notRoot(fmt.Sprint("/dev/fd/", r.Fd())); err != nil || len(c.Doors) != 1 {
		t.Errorf("own pipe: %+v, %v", c, err)
	}
}

// TestDeviceAsDropIn: a drop-in that is no file is refused without waiting for it.
func TestDeviceAsDropIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k.conf")
	dropIn := filepath.Join(path+".d", "x.conf")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Mkdir(path+".d", 0o700), os.Symlink("/dev/zero", dropIn)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := notRoot(path); done <- err }()
	select {
	case err := <-done:
		if want := dropIn + ": must be a plain file"; fmt.Sprint(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	case <-time.After(time.Minute):
		t.Fatal("waits for it")
	}
}
