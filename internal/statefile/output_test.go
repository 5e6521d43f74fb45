package statefile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

func output(t *testing.T, path string) *Output {
	t.Helper()
	o, err := Append(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	o.Missing = func(lost int, why error) string { return fmt.Sprintf("%d lost: %v", lost, why) }
	return o
}

func (o *Output) say(lines ...string) error {
	_, err := o.Write([]byte(strings.Join(lines, "\n") + "\n"))
	return err
}

// reader opens a pipe to read from it.
func reader(t *testing.T, path string) *os.File {
	t.Helper()
	r, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// gets reads a text from a pipe.
func gets(t *testing.T, r *os.File, want string) {
	t.Helper()
	got := make([]byte, len(want))
	_ = r.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("%v, %.200q; want %.200q", err, got[:n], want)
	}
}

func TestAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for range 2 {
		o := output(t, path)
		if err := o.say("a", "b"); err != nil || o.Doubt() != nil {
			t.Error(err, o.Doubt())
		}
		o.Close()
	}
	if text, _ := os.ReadFile(path); string(text) != "a\nb\na\nb\n" {
		t.Errorf("%q", text)
	}
	for path, want := range map[string]string{
		path + "/below": "open PATH: not a directory",
		"/none/log":     "open PATH: no such file or directory",
		t.TempDir():     "PATH: not a regular file, a pipe or a terminal",
	} {
		if _, err := Append(path); err == nil || strings.ReplaceAll(err.Error(), path, "PATH") != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// TestDoubt: who can write the log, or put a link in its place, is said.
func TestDoubt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	for _, c := range []struct {
		file, dir os.FileMode
		want      string
	}{
		{0o640, 0o755, "<nil>"},
		{0o640, 0o775, "<nil>"}, // as Ubuntu's /var/log
		{0o666, 0o755, path + ": everybody can write it"},
		{0o640, 0o777 | os.ModeSticky, "<nil>"},
		{0o640, 0o777, path + ": everybody can write its directory"},
	} {
		o := output(t, path)
		if err := errors.Join(os.Chmod(dir, c.dir), os.Chmod(path, c.file)); err != nil {
			t.Fatal(err)
		}
		o.Close()
		if got := fmt.Sprint(output(t, path).Doubt()); got != c.want {
			t.Errorf("modes %o and %o: %s, want %s", c.file, c.dir, got, c.want)
		}
	}
}

// TestNobodyReads: a pipe without a reader is no reason to wait or to fail; who
// comes later reads from then on, and learns what was lost. So does the one after
// a reader that went away.
func TestNobodyReads(t *testing.T) {
	path := fifo(t)
	o := output(t, path)
	if want := path + ": nobody reads the pipe"; fmt.Sprint(o.Doubt()) != want {
		t.Errorf("doubt: %v, want %s", o.Doubt(), want)
	}
	for i := range 3 {
		if err := o.say("early"); !errors.Is(err, ErrNotRead) {
			t.Errorf("line %d: %v", i, err)
		}
	}
	r := reader(t, path)
	lost := 3
	nettest.Eventually(t, "a line is taken", func() bool {
		lost++
		return o.say("line") == nil
	})
	gets(t, r, fmt.Sprintf("%d lost: nobody reads the pipe\nline\n", lost-1))
	r.Close()
	if err := o.say("between"); !errors.Is(err, ErrNotRead) {
		t.Errorf("the reader is gone: %v", err)
	}
	r = reader(t, path)
	lost = 1
	nettest.Eventually(t, "a line is taken", func() bool {
		lost++
		return o.say("line") == nil
	})
	gets(t, r, fmt.Sprintf("%d lost: nobody reads the pipe\nline\n", lost-1))
}

// TestFull: a pipe that nobody empties holds up a line for a second, the next
// ones not at all, and they are counted; a new Output in the same place goes on
// counting.
func TestFull(t *testing.T) {
	path := fifo(t)
	r := reader(t, path)
	o := output(t, path)
	text := strings.Repeat("x", 999)
	taken := 0
	begin := time.Now()
	for ; o.say(text) == nil; taken++ {
	}
	if took := time.Since(begin); took < patience || taken == 0 {
		t.Errorf("the first line was lost after %v and %d others", took, taken)
	}
	begin = time.Now()
	for range 1000 {
		if err := o.say(text); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took > 10*time.Second { // not 1,000
		t.Errorf("1,000 lines took %v", took)
	}
	o.Close()
	now := output(t, path)
	now.TakeOver(o)
	if err := now.say("not taken"); !now.full || !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	gets(t, r, strings.Repeat(text+"\n", taken))
	if err := now.say("taken"); err != nil {
		t.Error(err)
	}
	gets(t, r, "1002 lost: who reads them does not keep up\ntaken\n")
}

// TestSlow: who reads slowly gets all, also lines that are longer than what a
// pipe takes at once.
func TestSlow(t *testing.T) {
	path := fifo(t)
	r := reader(t, path)
	o := output(t, path)
	text := strings.Repeat("x", 3*atomic)
	done := make(chan error)
	go func() {
		for range 100 {
			if err := o.say(text); err != nil {
				done <- err
			}
		}
		close(done)
	}()
	for range 100 {
		time.Sleep(time.Millisecond)
		gets(t, r, text+"\n")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestPatient: who is told to waits for ever, and loses nothing.
func TestPatient(t *testing.T) {
	path := fifo(t)
	r := reader(t, path)
	o := output(t, path)
	o.Patience = -1
	text := strings.Repeat("x", 1<<18)
	done := make(chan error)
	go func() { done <- o.say(text) }()
	select {
	case err := <-done:
		t.Fatalf("done before anybody reads: %v", err)
	case <-time.After(patience + patience/2):
	}
	gets(t, r, text+"\n")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestTorn: a line that was taken in part ends before the next one begins.
func TestTorn(t *testing.T) {
	path := fifo(t)
	r := reader(t, path)
	o := output(t, path)
	text := strings.Repeat("x", 1<<20)
	if err := o.say(text); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	n, err := r.Read(buf)
	if err != nil || n == 0 || strings.Trim(string(buf[:n]), "x") != "" {
		t.Fatalf("%d octets, %v", n, err)
	}
	if err := o.say("next"); err != nil {
		t.Fatal(err)
	}
	gets(t, r, "\n1 lost: who reads them does not keep up\nnext\n")
}

// TestDiskFull: what a full disk does not take is counted like all else.
func TestDiskFull(t *testing.T) {
	o := output(t, "/dev/full")
	for range 2 {
		if err := o.say("a", "b"); !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	if want := "4 lost: write: no space left on device\n"; string(o.gap()) != want {
		t.Errorf("%q, want %q", o.gap(), want)
	}
}

// TestDiskDies: a disk that stops to answer in the middle of a write is waited for
// once; lines go there again when it answers.
func TestDiskDies(t *testing.T) {
	t.Parallel()
	var fds [2]int // a pipe that blocks stands for the disk
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
	defer r.Close()
	defer w.Close()
	o := AppendTo(w)
	o.regular = true
	o.Missing = func(lost int, why error) string { return fmt.Sprintf("%d lost: %v", lost, why) }
	text := strings.Repeat("x", 1<<17)
	begin := time.Now()
	for i := range 100 {
		if err := o.say(text); !errors.Is(err, ErrNoAnswer) {
			t.Fatalf("line %d: %v", i, err)
		}
	}
	if took := time.Since(begin); took < Limit || took > 4*Limit {
		t.Errorf("100 lines took %v", took)
	}
	gets(t, r, text+"\n") // came late, and counts as lost
	nettest.Eventually(t, "a line is taken", func() bool { return o.say("line") == nil })
	buf := make([]byte, 1000)
	if n, err := r.Read(buf); err != nil || !strings.HasSuffix(string(buf[:n]), " lost: no answer in time\nline\n") {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// TestTerminal: a terminal that its user has stopped loses lines as a pipe does.
func TestTerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no terminals: ", err)
	}
	defer master.Close()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	o := output(t, fmt.Sprint("/dev/pts/", n))
	if err := o.say("a line"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := master.Read(buf); err != nil || string(buf[:n]) != "a line\r\n" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	lost := false
	for range 10_000 {
		if err := o.say(strings.Repeat("x", 100)); err != nil {
			lost = errors.Is(err, ErrFull)
			break
		}
	}
	if !lost {
		t.Error("no line was lost")
	}
}

// TestAppendTo: a descriptor that others have too stays as it is, and is not
// waited for either.
func TestAppendTo(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
	defer r.Close()
	defer w.Close()
	o, fd := AppendTo(w), fds[1] // blocking, as standard output is
	taken := 0
	for ; o.say("line") == nil; taken++ {
	}
	if taken < 100 {
		t.Errorf("%d lines taken", taken)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %o, %v", flags, err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil {
		t.Error("closed: ", err)
	}
}

// TestOwnSocket: standard output may be a socket, as systemd has it, which cannot
// be opened by its path.
func TestOwnSocket(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	if err := output(t, fmt.Sprint("/dev/fd/", pair[0])).say("a line"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := unix.Read(pair[1], buf); err != nil || string(buf[:n]) != "a line\n" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}
