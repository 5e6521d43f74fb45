package statefile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

// write makes a file and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	nettest.Write(t, path, text)
	return path
}

func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func link(t *testing.T, to string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	const max = 1 << 20
	large := write(t, "")
	if err := os.Truncate(large, max+1); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, text, err string }{
		"a file":            {write(t, "text"), "text", ""},
		"empty":             {write(t, ""), "", ""},
		"a link to a file":  {link(t, write(t, "text")), "text", ""},
		"too long":          {large, "", "PATH: longer than 1 MiB"},
		"none":              {"/none", "", "open PATH: no such file or directory"},
		"nothing":           {"/dev/null", "", ""},
		"a pipe":            {fifo(t), "", "PATH: not a regular file"},
		"a link to a pipe":  {link(t, fifo(t)), "", "PATH: not a regular file"},
		"a directory":       {t.TempDir(), "", "read PATH: is a directory"},
		"zeros":             {"/dev/zero", "", "PATH: not a regular file"},
		"a link to zeros":   {link(t, "/dev/zero"), "", "PATH: not a regular file"},
		"somebody's screen": {"/dev/ptmx", "", "PATH: not a regular file"},
	} {
		text, _, err := Source{Max: max, Own: true}.Read(c.path)
		got := ""
		if err != nil {
			got = strings.ReplaceAll(err.Error(), c.path, "PATH")
		}
		if string(text) != c.text || got != c.err {
			t.Errorf("%s: %q, %q; want %q, %q", name, text, got, c.text, c.err)
		}
	}
}

// TestCheck: a rule is asked before anything is read, and names the path.
func TestCheck(t *testing.T) {
	path := write(t, "text")
	text, info, err := Source{Max: 10, Check: func(fs.FileInfo) error { return errors.New("is blue") }}.Read(path)
	if refusal := (*RefusalError)(nil); text != nil || info == nil || !errors.As(err, &refusal) || err.Error() != path+": is blue" {
		t.Errorf("%q, %v, %v", text, info, err)
	}
}

// TestOwnPipe: what a shell's <(...) leads to is read to its end.
func TestOwnPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		for range 50 {
			if _, err := fmt.Fprint(w, strings.Repeat("x", 4000)); err != nil { // more than a pipe holds
				t.Error(err)
			}
		}
		w.Close()
	}()
	path := fmt.Sprint("/dev/fd/", r.Fd())
	if text, _, err := (Source{Max: 1 << 20, Own: true}).Read(path); len(text) != 200_000 || err != nil {
		t.Errorf("%d octets, %v", len(text), err)
	}
	if _, _, err := (Source{Max: 1 << 20}).Read(path); !errors.Is(err, ErrNotRegular) {
		t.Errorf("read although only files are: %v", err)
	}
}

// TestOwnPipeSilent: a pipe of our own that says nothing is waited for as long
// as any file, and one without end is read as far as any file.
func TestOwnPipeSilent(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	path := fmt.Sprint("/dev/fd/", r.Fd())
	begin := time.Now()
	if _, _, err := (Source{Max: 1 << 20, Own: true}).Read(path); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("silent: %v", err)
	}
	if took := time.Since(begin); took < Limit || took > 4*Limit {
		t.Errorf("silent: took %v", took)
	}
	go func() {
		for err := error(nil); err == nil; {
			_, err = w.Write(make([]byte, 4096))
		}
	}()
	nettest.Eventually(t, "the pipe is asked for again", func() bool { return !awaited(path) })
	if _, _, err := (Source{Max: 1 << 20, Own: true}).Read(path); err == nil || err.Error() != path+": longer than 1 MiB" {
		t.Errorf("endless: %v", err)
	}
}

// TestOwnDescriptor: what is not ours is not taken for it.
func TestOwnDescriptor(t *testing.T) {
	for path, want := range map[string]int{
		"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2, "/dev/fd/63": 63, "/dev//fd/./7": 7, "/proc/self/fd/5": 5,
		fmt.Sprintf("/proc/%d/fd/9", os.Getpid()): 9,
		"/proc/1/fd/0": -1, "/dev/fd/": -1, "/dev/fd/x": -1, "/dev/fd/-1": -1, "/dev/tty": -1, "/dev/fd/99999999999": -1, "": -1,
	} {
		fd, ok := ownDescriptor(path)
		if ok != (want >= 0) || ok && fd != want {
			t.Errorf("%s: %d, %v; want %d", path, fd, ok, want)
		}
	}
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a", "c"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := List(dir, nil); err != nil || !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("%q, %v", names, err)
	}
	path := fifo(t)
	if _, err := List(path, nil); err == nil || err.Error() != "open "+path+": not a directory" {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := List(dir, func(fs.FileInfo) error { return errors.New("is blue") }); err == nil || err.Error() != dir+": is blue" {
		t.Errorf("checked: %v", err)
	}
	if names, err := List(t.TempDir(), nil); err != nil || len(names) > 0 {
		t.Errorf("empty: %q, %v", names, err)
	}
}

// TestDo: what does not answer is given up after Limit, once: nobody else waits
// for a file beside it meanwhile, and it is asked again when it has answered.
func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		var late error
		stuck := func(ctx context.Context) error { <-answer; late = ctx.Err(); return nil }
		for i, limit := range []time.Duration{Limit, 0, 0} {
			begin := time.Now()
			path := fmt.Sprint("/dead/", i)
			want := "open " + path + ": no answer in time"
			if err := Do(path, stuck); err == nil || err.Error() != want || time.Since(begin) != limit {
				t.Errorf("try %d: %v after %v", i, err, time.Since(begin))
			}
		}
		if err := Do("/alive/0", func(context.Context) error { return nil }); err != nil {
			t.Error("another directory: ", err)
		}
		close(answer)
		synctest.Wait()
		if late == nil {
			t.Error("what comes too late is not told")
		}
		if err := Do("/dead/3", func(context.Context) error { return errors.New("is back") }); err == nil || err.Error() != "is back" {
			t.Error("again: ", err)
		}
	})
}

// TestLocked: whoever can read a file can hold its lock for ever, and is not
// waited for.
func TestLocked(t *testing.T) {
	path := write(t, "text")
	held, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	change := func(_ context.Context, f *os.File) error { _, err := f.WriteAt([]byte("T"), 0); return err }
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		err := Locked(path, nil, change)
		if want := "lock " + path + ": somebody else holds it"; err == nil || err.Error() != want || time.Since(begin) > 2*patience {
			t.Errorf("%v after %v, want %s", err, time.Since(begin), want)
		}
		go func() {
			time.Sleep(patience / 2)
			held.Close()
		}()
		if err := Locked(path, nil, change); err != nil {
			t.Error("given back: ", err)
		}
	})
	if text, _ := os.ReadFile(path); string(text) != "Text" {
		t.Errorf("%q", text)
	}
}

// TestLease: somebody who has leased the file and does not give it back, as its
// owner can, is not waited for either.
func TestLease(t *testing.T) {
	path := write(t, "text")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		nettest.LacksKernel(t, fmt.Sprintf("leases on this file system: %v", err))
	}
	err = Locked(path, nil, func(context.Context, *os.File) error { return nil })
	if want := "open " + path + ": somebody else holds it"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if text, _, err := (Source{Max: 9}).Read(path); string(text) != "text" {
		t.Errorf("reading: %q, %v", text, err)
	}
}

// TestOpen: a link is followed unless the flag says otherwise.
func TestOpen(t *testing.T) {
	path := link(t, write(t, "text"))
	f, err := Open(path, os.O_RDONLY, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := Open(path, os.O_RDONLY|NoFollow, 0, nil); !errors.Is(err, unix.ELOOP) {
		t.Error(err)
	}
	if _, err := Open(fifo(t), os.O_WRONLY|os.O_CREATE, 0o600, nil); !errors.Is(err, ErrNotRegular) {
		t.Error(err)
	}
}

func TestOverwrite(t *testing.T) {
	path := write(t, "a longer text")
	for _, path := range []string{path, path + "-new", "/dev/null"} {
		if err := Overwrite(path, "text"); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{path, path + "-new"} {
		if text, _ := os.ReadFile(path); string(text) != "text" {
			t.Errorf("%s: %q", path, text)
		}
	}
	path = fifo(t)
	if err := Overwrite(path, "text"); err == nil || err.Error() != path+": not a regular file" {
		t.Error(err)
	}
}

func TestWritable(t *testing.T) {
	path := write(t, "")
	for mode, want := range map[fs.FileMode]string{
		0o644: "",
		0o664: "others can write it (mode 0664): must be writable by root alone",
		0o602: "others can write it (mode 0602): must be writable by root alone",
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got := ruleOf(t, path); got != want {
			t.Errorf("%o: %q, want %q", mode, got, want)
		}
	}
	nettest.NeedRealRoot(t)
	if err := os.Chown(path, 1234, 0); err != nil {
		t.Fatal(err)
	}
	if got, want := ruleOf(t, path), "belongs to user 1234: must belong to root"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func ruleOf(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Writable(info); err != nil {
		return err.Error()
	}
	return ""
}
