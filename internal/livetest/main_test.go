package livetest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

var binaries = flag.String("binaries", "", "a directory with knockd and knock to test; by default they are built")

func TestMain(m *testing.M) {
	attack() // if this is a child that attacks
	flag.Parse()
	// The tests wait more than they work.
	if n := flag.Lookup("test.parallel"); n.Value.String() == n.DefValue {
		flag.Set("test.parallel", "8")
	}
	code := nettest.Run(m)
	if builtIn != "" {
		os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// program returns the path of one of the project's commands, built once.
func program(t testing.TB, name string) string {
	t.Helper()
	if *binaries != "" {
		return filepath.Join(*binaries, name)
	}
	built.Do(func() { builtIn, buildErr = build() })
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return filepath.Join(builtIn, name)
}

var (
	built    sync.Once
	builtIn  string
	buildErr error
)

// build makes the commands in a directory that TestMain removes.
func build() (string, error) {
	dir, err := os.MkdirTemp("", "knockd-livetest-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", dir, "knockd/cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
}

// daemon is a knockd at work on a host.
type daemon struct {
	t      testing.TB
	cmd    *exec.Cmd
	conf   string // the configuration
	log    string // the log file
	output syncBuffer
	marks  int // packets that settled has sent
	done   chan struct{}
	began  time.Time
}

// syncBuffer takes a program's output while somebody looks at it.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs the project's knockd with a configuration, in which LOG, DIR and
// ONETIME stand for a log file, a directory and a file of one-time sequences,
// and waits until it listens.
func start(t testing.TB, h *nettest.Host, conf string, args ...string) *daemon {
	t.Helper()
	d := prepare(t, h, program(t, "knockd"), conf, args...)
	d.waitFor("starting up, listening on", 1)
	return d
}

// prepare is start without the wait.
func prepare(t testing.TB, h *nettest.Host, path, conf string, args ...string) *daemon {
	t.Helper()
	dir := t.TempDir()
	d := &daemon{t: t, log: filepath.Join(dir, "knockd.log"), done: make(chan struct{})}
	name := filepath.Join(dir, "knockd.conf")
	d.conf = name
	d.configure(conf)
	if strings.Contains(conf, "ONETIME") {
		secrets.oneTime(oneTimeLines)
		nettest.Write(t, d.file("sequences"), oneTimeLines)
	}
	// The state stays out of the machine's own directory; the configuration
	// itself is as users have it.
	if err := os.Mkdir(name+".d", 0o755); err != nil {
		t.Fatal(err)
	}
	nettest.Write(t, name+".d/test.conf", "[options]\nStateDir = "+filepath.Join(dir, "state")+"\n"+withoutSocket(conf))
	d.run(h, exec.Command(path, append([]string{"-c", name, "-g", d.log}, args...)...))
	return d
}

// withoutSocket leaves the machine's own socket alone, unless a configuration names
// one.
func withoutSocket(conf string) string {
	if strings.Contains(conf, "ControlSocket") {
		return ""
	}
	return "ControlSocket = none\n"
}

// prepareCommand is prepare for a command line that logs to a given file.
func prepareCommand(t testing.TB, h *nettest.Host, log, name string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, log: log, done: make(chan struct{})}
	d.run(h, exec.Command(name, args...))
	return d
}

// run starts the process and sees to its end.
func (d *daemon) run(h *nettest.Host, cmd *exec.Cmd) {
	d.t.Helper()
	d.cmd = cmd
	if d.cmd.Stderr = &d.output; cmd.Stdout == nil {
		d.cmd.Stdout = &d.output
	}
	d.cmd.WaitDelay = time.Second
	d.began = time.Now()
	if err := h.Start(d.cmd); err != nil {
		d.t.Fatal(err)
	}
	go func() {
		d.cmd.Wait()
		close(d.done)
	}()
	d.t.Cleanup(d.end)
}

// copyProgram leaves the writing to another process: in this one a child
// started meanwhile would hold the file open for a moment, and a program that
// is open for writing cannot be run.
func copyProgram(t testing.TB, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v\n%s", from, err, out)
	}
}

// configure writes the configuration.
func (d *daemon) configure(conf string) {
	d.t.Helper()
	secrets.config(conf)
	dir := filepath.Dir(d.log)
	nettest.Write(d.t, d.conf, strings.NewReplacer("LOG", d.log, "DIR", dir, "ONETIME", d.file("sequences")).Replace(conf))
}

// file returns the path of a file that belongs to this daemon.
func (d *daemon) file(name string) string { return filepath.Join(filepath.Dir(d.log), name) }

// end stops the daemon in the way in which it closes its doors.
func (d *daemon) end() {
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(nettest.Patience):
		d.cmd.Process.Kill()
		<-d.done
		d.t.Error("the daemon did not end")
	}
	d.search()
	if d.t.Failed() {
		d.t.Logf("log:\n%soutput:\n%s", d.text(), d.output.String())
	}
}

// search looks for secrets in all that the daemon has written. With -D it
// prints the configuration.
func (d *daemon) search() {
	d.t.Helper()
	secrets.check(d.t, "the log", d.text())
	if !slices.Contains(d.cmd.Args, "-D") {
		secrets.check(d.t, "the output", d.output.String())
	}
}

// stop sends a signal and returns the exit status.
func (d *daemon) stop(signal os.Signal) int {
	d.t.Helper()
	d.cmd.Process.Signal(signal)
	select {
	case <-d.done:
	case <-time.After(nettest.Patience):
		d.t.Fatalf("the daemon did not end at %v", signal)
	}
	return d.cmd.ProcessState.ExitCode()
}

var stamp = regexp.MustCompile(`(?m)^\[\d{4}-\d\d-\d\d \d\d:\d\d\] `)

// text returns the log without times and without empty lines.
func (d *daemon) text() string {
	data, err := os.ReadFile(d.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Error(err)
	}
	text := stamp.ReplaceAllString(string(data), "")
	return strings.TrimPrefix(emptyLines.ReplaceAllString(text, "\n"), "\n")
}

var emptyLines = regexp.MustCompile(`\n\n+`)

// waitFor waits until a text stands in the log n times.
func (d *daemon) waitFor(text string, n int) {
	d.t.Helper()
	nettest.Eventually(d.t, fmt.Sprintf("%q %d times in the log", text, n), func() bool {
		return strings.Count(d.text(), text) >= n
	})
}

// lacks says that a text does not stand in the log.
func (d *daemon) lacks(text string) {
	d.t.Helper()
	if strings.Contains(d.text(), text) {
		d.t.Errorf("%q stands in the log", text)
	}
}
