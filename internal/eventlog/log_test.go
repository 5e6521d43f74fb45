package eventlog

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// said is an event for some readers.
type said struct {
	text string
	to   event.Audience
}

func (s said) Text() string             { return s.text }
func (s said) Audience() event.Audience { return s.to }

// The kinds of events, by their readers.
const (
	notice  = event.Log | event.Verbose
	limited = notice | event.Limited
)

// stranger writes a limited event, if it may be written.
func (l *Log) stranger(text string) {
	if l.Allows() {
		l.Event(said{text, limited})
	}
}

// memory is a Sink that keeps its lines.
type memory struct {
	mu    sync.Mutex
	lines []string
	block chan struct{} // if set, each line waits for a value
}

func (m *memory) Write(r *Record) error {
	if m.block != nil {
		<-m.block
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = append(m.lines, r.Text)
	return nil
}

// TestTap: who taps is told of what happens, whoever is to read of it and though
// the disk is slow.
func TestTap(t *testing.T) {
	slow := memory{block: make(chan struct{})}
	l := New(Outputs{Log: &slow}, 1)
	var told []string
	l.Tap(func(r *Record) {
		if r.At.IsZero() {
			t.Errorf("%s: no time", r.Text)
		}
		told = append(told, r.Text)
	})
	for range maxQueued {
		l.Event(said{"waits", event.Log})
	}
	l.Event(said{"not read", event.Debug})
	l.Event(said{"read", event.Log})
	l.stranger("one")
	l.stranger("too many")
	if n := len(told); n != maxQueued+2 || told[n-2] != "not read" || told[n-1] != "read" {
		t.Errorf("%d told, the last %q", n, told[len(told)-2:])
	}
	close(slow.block)
	l.Close()
	if last := told[len(told)-1]; last != "2 lines left out (LogRate)" {
		t.Errorf("at last %q", last)
	}
}

func TestAudiences(t *testing.T) {
	var log, verbose, terminal, watchers memory
	l := New(Outputs{Log: &log, Verbose: &verbose, Terminal: &terminal, Debug: &watchers}, 10)
	l.Event(said{"a", notice})
	l.Event(said{"b", event.Log})
	l.Event(said{"c", event.Log | event.Terminal})
	l.stranger("d")
	l.Event(said{"e", event.Debug})
	l.Close()
	l.Event(said{"after the end", notice})
	for _, c := range []struct {
		name string
		got  []string
		want []string
	}{
		{"log", log.lines, []string{"a", "b", "c", "d"}},
		{"verbose", verbose.lines, []string{"a", "d"}},
		{"terminal", terminal.lines, []string{"c"}},
		{"watchers", watchers.lines, []string{"e"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		l := New(Outputs{Log: &m}, 3)
		for i := range 10 {
			l.stranger(fmt.Sprint("line ", i))
		}
		l.Event(said{"OPEN SESAME", notice})
		time.Sleep(1500 * time.Millisecond) // nobody writes: the summary comes by itself
		l.stranger("later")
		l.Close()
		want := []string{"line 0", "line 1", "line 2", "OPEN SESAME", "7 lines left out (LogRate)", "later"}
		if !slices.Equal(m.lines, want) {
			t.Errorf("%q, want %q", m.lines, want)
		}
	})
}

func TestRateUnderSteadyFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		l := New(Outputs{Log: &m}, 5)
		for range 1000 {
			l.stranger("x")
			time.Sleep(10 * time.Millisecond)
		}
		l.Close()
		written, left := 0, 0
		for _, line := range m.lines {
			var n int
			if _, err := fmt.Sscanf(line, "%d lines left out", &n); err == nil {
				left += n
			} else {
				written++
			}
		}
		if written+left != 1000 || written != 50 {
			t.Errorf("%d lines written and %d left out of 1000 in 10 s at 5 a second", written, left)
		}
	})
}

func TestSlowDisk(t *testing.T) {
	m := memory{block: make(chan struct{})}
	l := New(Outputs{Log: &m}, 1<<30)
	for range maxQueued + 1000 {
		l.stranger("x")
	}
	l.Event(said{"kept", notice})
	close(m.block)
	l.Close()
	if n := len(m.lines); n > maxQueued+10 {
		t.Errorf("%d lines were kept for a slow disk, want about %d", n, maxQueued)
	}
	if !slices.Contains(m.lines, "kept") {
		t.Error("a line that nobody may leave out was left out")
	}
	if !strings.HasSuffix(m.lines[len(m.lines)-1], "lines left out (LogRate)") {
		t.Errorf("the last line is %q, want the number of lines left out", m.lines[len(m.lines)-1])
	}
}

// TestSetOutputs: earlier lines go to the old outputs, then these are let go of.
// Nobody waits for that.
func TestSetOutputs(t *testing.T) {
	before, after := memory{block: make(chan struct{})}, memory{}
	l := New(Outputs{Log: &before}, 10)
	l.Event(said{"a", notice})
	moved := false
	l.SetOutputs(Outputs{Log: &after}, func() { moved = len(before.lines) == 1 && len(after.lines) == 0 })
	l.Event(said{"b", notice})
	close(before.block)
	l.Close()
	if !moved || !slices.Equal(before.lines, []string{"a"}) || !slices.Equal(after.lines, []string{"b"}) {
		t.Errorf("moved %v, before %q, after %q", moved, before.lines, after.lines)
	}
}

// TestNobodyReads: a daemon that is to end does, although its standard output
// takes nothing; what is only said does not gather.
func TestNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := memory{block: make(chan struct{})}
		l := New(Outputs{Debug: &stuck}, 10)
		for range 3 * maxQueued {
			l.Event(said{"x", event.Debug})
		}
		begin := time.Now()
		l.Close()
		if took := time.Since(begin); took != closeLimit {
			t.Errorf("Close took %v, want %v", took, closeLimit)
		}
		close(stuck.block)
		synctest.Wait()
		if n := len(stuck.lines); n != maxQueued {
			t.Errorf("%d lines were kept, want %d", n, maxQueued)
		}
	})
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "knockd.log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	if err := f.Write(NewRecord(at, said{"shutting down", notice})); err != nil {
		t.Fatal(err)
	}
	f.Close()
	text, _ := os.ReadFile(path)
	if want := "[2026-01-02 03:04] shutting down\n"; string(text) != want {
		t.Errorf("%q, want %q", text, want)
	}
	_, err = OpenFile(filepath.Join(path, "below"))
	if want := "open log file: open " + path + "/below: not a directory"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

// TestFileLines: lines are written in their order, whole, and only those for
// the log, however many come at once.
func TestFileLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	file, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	l := New(Outputs{Log: file}, 1)
	l.now = func() time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, time.Local) }
	var want strings.Builder
	for i := range 5000 {
		text := fmt.Sprintf("line %d of many", i)
		l.Event(said{text, notice})
		fmt.Fprintf(&want, "[2026-11-23 10:00] %s\n", text)
		l.Event(said{"not this", event.Verbose})
	}
	l.Close()
	if got, err := os.ReadFile(path); err != nil || string(got) != want.String() {
		t.Errorf("%d octets, want %d, %v", len(got), want.Len(), err)
	}
}

// TestLeftOutCostsNothing: an event of a flood that is left out is not made.
func TestLeftOutCostsNothing(t *testing.T) {
	l := New(Outputs{Log: &memory{}}, 0)
	defer l.Close()
	knocker := event.Knocker{Addr: netip.MustParseAddr("2001:db8::7"), Host: "host.example"}
	limited := func() {
		if l.Allows() {
			l.Event(event.Stage{Door: knock.DoorID{Name: "ssh", N: 1}, Knocker: knocker, Stage: 1})
		}
	}
	limited() // the first one left out starts a timer
	if n := testing.AllocsPerRun(1000, limited); n > 0 {
		t.Errorf("an event that is left out costs %v allocations", n)
	}
}

// TestLines: an event of several lines has its time before each.
func TestLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	file, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var verbose strings.Builder
	l := New(Outputs{Log: Both{file, Plain{&verbose}}}, 1)
	l.now = func() time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, time.Local) }
	refused := event.ReloadRefused{Err: errors.New("k.conf:1: a\nk.conf:2: b\n")}
	l.Event(refused)
	l.SetOutputs(Outputs{Log: file}, func() {}) // alone it is written at once
	l.Event(refused)
	l.Close()
	const lines = "k.conf:1: a\nk.conf:2: b\nconfiguration not changed\n"
	stamped := strings.ReplaceAll("\n"+lines, "\n", "\n[2026-11-23 10:00] ")[1:]
	stamped = strings.TrimSuffix(stamped, "[2026-11-23 10:00] ")
	if got, err := os.ReadFile(path); err != nil || string(got) != stamped+stamped || verbose.String() != lines {
		t.Errorf("%q, %q, %v", got, verbose.String(), err)
	}
}
