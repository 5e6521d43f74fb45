package eventlog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a Sink that keeps its lines.
type memory struct {
	mu    sync.Mutex
	lines []string
	block chan struct{} // if set, each line waits for a value
}

func (m *memory) WriteLine(_ time.Time, text string) error {
	if m.block != nil {
		<-m.block
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = append(m.lines, text)
	return nil
}

func TestAudiences(t *testing.T) {
	var log, verbose, terminal, watchers memory
	l := New(Outputs{&log, &verbose, &terminal, &watchers}, 10)
	l.Log("a")
	l.Quiet("b")
	l.Warn("c")
	l.Stranger("d")
	l.Chat("e")
	l.Close()
	l.Log("after the end")
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
			l.Stranger(fmt.Sprint("line ", i))
		}
		l.Log("OPEN SESAME")
		time.Sleep(1500 * time.Millisecond) // nobody writes: the summary comes by itself
		l.Stranger("later")
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
			l.Stranger("x")
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
		l.Stranger("x")
	}
	l.Log("kept")
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
	l.Log("a")
	moved := false
	l.SetOutputs(Outputs{Log: &after}, func() { moved = len(before.lines) == 1 && len(after.lines) == 0 })
	l.Log("b")
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
		l := New(Outputs{Watchers: &stuck}, 10)
		for range 3 * maxQueued {
			l.Chat("x")
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
	if err := f.WriteLine(at, "shutting down"); err != nil {
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
		l.Log(text)
		fmt.Fprintf(&want, "[2026-11-23 10:00] %s\n", text)
		l.put("not this", toVerbose)
	}
	l.Close()
	if got, err := os.ReadFile(path); err != nil || string(got) != want.String() {
		t.Errorf("%d octets, want %d, %v", len(got), want.Len(), err)
	}
}
