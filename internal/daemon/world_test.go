package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/action/command"
	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/eventlog"
	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/nft"
	"knockd/internal/openings"
)

// world is a daemon at work in a synctest bubble, where packets, network and
// shell are the test's. Its configuration is a file; DIR in it is the file's
// directory.
type world struct {
	t      *testing.T
	dir    string
	d      *Daemon
	packet *fakeSource
	shell  *fakeShell
	log    said
	status []string
	reopen []bool          // for each: whether for a new configuration
	held   []knock.Opening // of an earlier run
	kept   []uint64        // each time that capabilities were given up: the rest
	loads  int
	slow   chan struct{} // if set, each load of the configuration waits for a value

	logSlow chan struct{} // if set, each opening of the log file waits for a value

	hangup chan os.Signal
	stop   context.CancelFunc
	ended  chan error
}

// inWorld runs a test beside a daemon with this configuration.
func inWorld(t *testing.T, conf string, test func(w *world)) {
	t.Helper()
	inWorldOf(t, map[string]string{"k.conf": conf}, test)
}

// inWorldOf is inWorld for a configuration that names other files.
func inWorldOf(t *testing.T, files map[string]string, test func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir)
		for name, text := range files {
			w.write(name, text)
		}
		w.start()
		test(w)
		w.stop()
		synctest.Wait()
	})
}

func newWorld(t *testing.T, dir string) *world {
	return &world{t: t, dir: dir,
		packet: newFakeSource(), shell: &fakeShell{}, hangup: make(chan os.Signal, 1), ended: make(chan error, 1),
	}
}

func (w *world) start() {
	w.t.Helper()
	conf, err := w.load()
	if err != nil {
		w.t.Fatal(err)
	}
	log := eventlog.New(eventlog.Outputs{Log: eventlog.Plain{W: &w.log}}, conf.LogRate)
	w.d, err = New(conf, Options{
		ConfigFile: "k.conf", Log: log, Actions: map[string]openings.Action{"command": w.shell},
		Firewall: new(atomic.Pointer[nft.Firewall]), NAT: new(atomic.Pointer[nft.Firewall]),
		Load: func() (*config.Config, error) {
			if w.loads++; w.slow != nil {
				<-w.slow
			}
			return w.load()
		},
		ReopenLog: func(c *config.Config) {
			if w.logSlow != nil {
				<-w.logSlow
			}
			w.reopen = append(w.reopen, c != nil)
		},
		Ready:  func() {},
		Status: func(text string) { w.status = append(w.status, text) },
		follow: func(*capture.FilterSpec) (source, error) { return w.packet, nil },
		limit: func(keep uint64) error {
			w.kept = append(w.kept, keep)
			return nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range w.held {
		w.d.manager.Open(o, nil)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() {
		w.ended <- w.d.Run(ctx, w.hangup)
		log.Close()
	}()
	synctest.Wait()
}

func (w *world) load() (*config.Config, error) {
	text, err := os.ReadFile(w.file("k.conf"))
	if err != nil {
		return nil, err
	}
	return config.Parse("k.conf", text)
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) {
	w.t.Helper()
	nettest.Write(w.t, w.file(name), strings.ReplaceAll(text, "DIR", w.dir))
}

// reload has the daemon read another configuration.
func (w *world) reload(conf string) {
	w.t.Helper()
	w.write("k.conf", conf)
	w.hangup <- os.Interrupt
	synctest.Wait()
}

// knock hits ports of TCP, one after the other.
func (w *world) knock(from string, ports ...uint16) {
	for _, port := range ports {
		c := capture.Captured{}
		c.Hit = knock.Hit{Src: netip.MustParseAddr(from), Dst: local4, SrcPort: 40000, DstPort: port,
			Proto: knock.TCP, Flags: knock.SYN, Seq: w.packet.seq.Add(1)}
		w.packet.packets <- []capture.Captured{c}
		synctest.Wait()
	}
}

// said returns the lines since it was last asked.
func (w *world) said() string {
	synctest.Wait()
	return strings.ReplaceAll(w.log.take(), w.dir, "DIR")
}

// said is what was written since it was last taken.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Len returns how many octets were written.
func (s *said) Len() int { return len(s.String()) }

func (s *said) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.text.Reset()
	return s.text.String()
}

func (w *world) says(want string) {
	w.t.Helper()
	if got := w.said(); got != strings.TrimPrefix(want, "\n") {
		w.t.Errorf("log:\n%swant:%s", got, want)
	}
}

func (w *world) ran(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.shell.mu.Lock()
	defer w.shell.mu.Unlock()
	if got := slices.Sorted(slices.Values(w.shell.ran)); fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("ran %q, want %q", got, want)
	}
	w.shell.ran = nil
}

// ends waits for the daemon's end.
func (w *world) ends() (after time.Duration) {
	w.t.Helper()
	begin := time.Now()
	w.stop()
	if err := <-w.ended; err != nil {
		w.t.Error(err)
	}
	return time.Since(begin)
}

// fakeShell notes what it was to run.
type fakeShell struct {
	command.Action
	mu  sync.Mutex
	ran []string
}

func (f *fakeShell) Open(_ context.Context, o *knock.Opening) (int, error) {
	return f.run(o.Args.Start)
}

func (f *fakeShell) Close(_ context.Context, o *knock.Opening) (int, error) {
	return f.run(o.Args.Stop)
}

func (f *fakeShell) run(line string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ran = append(f.ran, line)
	return 0, nil
}
