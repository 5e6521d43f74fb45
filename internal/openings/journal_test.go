package openings

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/knock"
	"knockd/internal/openings/journal"
)

// mustOpen opens the journal "test" in a directory, as if under a boot: this
// one is named "boot".
func mustOpen(t testing.TB, dir, boot string) journalOfBoot {
	t.Helper()
	j, err := journal.Open(dir, "test")
	if err != nil {
		t.Fatal(err)
	}
	return journalOfBoot{j, boot == "boot"}
}

// journalOfBoot is a journal whose openings are of this boot, or of another one.
type journalOfBoot struct {
	*journal.Journal
	same bool
}

func (j journalOfBoot) Found() []journal.Opening {
	found := j.Journal.Found()
	for i := range found {
		found[i].SameBoot = j.same
	}
	return found
}

// stops is which stop commands ran and when: not the start commands.
func (f *fakeShell) stops() (stops []string) {
	for _, l := range f.lines() {
		if !strings.Contains(l, "start") {
			stops = append(stops, l)
		}
	}
	return stops
}

// TestAdopt: what a daemon that was killed has left, its successor does.
func TestAdopt(t *testing.T) {
	const boot = "boot"
	for _, c := range []struct {
		name  string
		o     knock.Opening
		alive time.Duration // of the first daemon
		boot  string        // of the second one
		pause time.Duration // between them
		want  []string
	}{
		{"not due", opening("start", "stop", time.Minute), time.Second, boot, time.Second, []string{"60 stop"}},
		{"overdue", opening("start", "stop", time.Minute), time.Second, boot, time.Hour, []string{"3601 stop"}},
		{"killed while it started", opening("sleep 10s; start", "stop", time.Minute), time.Second, boot, time.Second, []string{"60 stop"}},
		{"counts from the start's end", opening("sleep 10s; start", "stop", time.Minute), 11 * time.Second, boot, 0, []string{"70 stop"}},
		{"another boot", opening("start", "stop", time.Minute), time.Second, "another", time.Second, []string{"2 stop"}},
		{"boot unknown", opening("start", "stop", time.Minute), time.Second, "", time.Second, []string{"2 stop"}},
		{"closed already", opening("start", "stop", time.Minute), 2 * time.Minute, boot, time.Second, []string{"60 stop"}},
		{"interrupted stop: once more, any status", opening("start", "sleep 20s; exit 4", time.Minute), 70 * time.Second, boot, 0,
			[]string{"60 sleep 20s; exit 4", "70 sleep 20s; exit 4"}},
		{"another boot: once, any status", opening("start", "exit 1", time.Minute), time.Second, "another", 0, []string{"1 exit 1"}},
		{"another boot: but it has to run", opening("start", "fork", 2*time.Hour), time.Second, "another", time.Hour, nil},
		{"failed before: not run", opening("start", "exit 1", time.Minute), 62 * time.Second, boot, 0,
			[]string{"60 exit 1", "62 exit 1", "67 exit 1", "87 exit 1"}},
		{"nothing to stop", opening("start", "", time.Minute), time.Second, boot, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				j := mustOpen(t, dir, boot)
				m, shell, _ := fakes(Options{Journal: j})
				m.Open(c.o, nil)
				time.Sleep(c.alive)
				m.kill(shell)
				time.Sleep(c.pause)

				j2 := mustOpen(t, dir, c.boot)
				m2 := New(Options{Actions: withShell(nil, shell), Log: &fakeLog{begin: time.Now()}, Journal: j2, Now: time.Now})
				m2.Adopt()
				time.Sleep(3 * time.Hour)
				if c.o.Args.Stop == "fork" {
					if n := len(shell.stops()); n < 20 {
						t.Errorf("%d tries", n)
					}
				} else if diff := cmp.Diff(c.want, shell.stops()); diff != "" {
					t.Errorf("stops (-want +got):\n%s", diff)
				}
				if j2.Len() != 0 || m2.Pending() != 0 {
					t.Errorf("%d in the journal, %d held", j2.Len(), m2.Pending())
				}
				j2.Close()
			})
		})
	}
}

// kill ends a Manager as SIGKILL does: what it still decides, neither the
// journal nor the shell learns.
func (m *Manager) kill(f *fakeShell) {
	f.mu.Lock()
	f.dead = true
	f.mu.Unlock()
	m.o.Journal.(journalOfBoot).Close()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	m.Shutdown(over)
	f.mu.Lock()
	f.dead = false
	f.mu.Unlock()
}

// TestKeep: OnStop = keep leaves doors open to the next daemon.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, dir, "boot")
		m, shell, _ := fakes(Options{Journal: j, Keep: true})
		m.Adopt()
		m.Open(opening("start", "stop 1", time.Minute), nil)
		m.Open(opening("sleep 5s; start", "stop 2", time.Minute), nil)
		time.Sleep(time.Second)
		if left := m.Shutdown(t.Context()); left != 0 || !j.Keep() || j.Len() != 2 {
			t.Errorf("left %d, keep %v, %d in the journal", left, j.Keep(), j.Len())
		}
		j.Close()

		j = mustOpen(t, dir, "boot")
		if !j.Keep() {
			t.Error("keep was forgotten")
		}
		m = New(Options{Actions: withShell(nil, shell), Log: &fakeLog{}, Journal: j, Now: time.Now, Keep: true})
		if n := m.Adopt(); n != 2 {
			t.Errorf("adopted %d", n)
		}
		time.Sleep(61 * time.Second)
		if diff := cmp.Diff([]string{"60 stop 1", "65 stop 2"}, shell.stops()); diff != "" {
			t.Error(diff)
		}
		m.SetKeep(false)
		m.Open(opening("start", "stop 3", time.Minute), nil)
		time.Sleep(time.Second)
		m.Shutdown(t.Context())
		if j.Keep() || j.Len() != 0 {
			t.Errorf("keep %v, %d in the journal", j.Keep(), j.Len())
		}
		j.Close()
	})
}

// brokenJournal is a journal that cannot be written.
type brokenJournal struct{ Journal }

func (brokenJournal) Reliable() bool { return false }

// TestKeepWithoutJournal: what the journal does not hold is not left open.
func TestKeepWithoutJournal(t *testing.T) {
	for _, name := range []string{"none", "broken"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				o := Options{Keep: true}
				if name == "broken" {
					j := mustOpen(t, dir, "boot")
					defer j.Close()
					o.Journal = brokenJournal{j}
				}
				m, shell, _ := fakes(o)
				m.Open(opening("start", "stop", time.Hour), nil)
				time.Sleep(time.Second)
				if left := m.Shutdown(t.Context()); left != 0 {
					t.Errorf("left %d", left)
				}
				if diff := cmp.Diff([]string{"1 stop"}, shell.stops()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestCloseAll(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, dir, "boot")
		m, shell, _ := fakes(Options{Journal: j})
		m.Adopt()
		for i := range 200 {
			m.Open(opening("start", fmt.Sprintf("stop %d", i), time.Hour), nil)
		}
		time.Sleep(time.Second)
		m.kill(shell)
		j = mustOpen(t, dir, "boot")
		found, left := CloseAll(t.Context(), j, Options{Actions: withShell(nil, shell), Log: &fakeLog{}, Now: time.Now})
		if found != 200 || left != 0 || len(shell.stops()) != 200 || j.Len() != 0 {
			t.Errorf("found %d, left %d, stops %d, journal %d", found, left, len(shell.stops()), j.Len())
		}
		j.Close()
	})
}

// written is the text of a journal.
func written(t *testing.T, write func(j Journal)) []byte {
	t.Helper()
	dir := t.TempDir()
	j := mustOpen(t, dir, "boot")
	write(j)
	j.Close()
	text, err := os.ReadFile(filepath.Join(dir, "test.journal"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestTorn cuts a journal at every byte. Whatever whole lines say was begun and
// not ended is closed, once.
func TestTorn(t *testing.T) {
	text := written(t, func(j Journal) {
		for id := uint64(1); id <= 3; id++ {
			o := opening("", fmt.Sprintf("stop %d \xff", id), time.Minute)
			j.Begin(id, o)
			j.Opened(id)
		}
		j.Stopping(2)
		j.Ended(2)
		j.SetKeep(true)
	})
	dir := t.TempDir()
	for cut := range len(text) + 1 {
		whole := string(text[:cut])
		whole = whole[:strings.LastIndexByte(whole, '\n')+1]
		var want []string
		for id := 1; id <= 3; id++ {
			begun := fmt.Sprintf(`{"do":"opening","id":%d,`, id)
			if strings.Contains(whole, begun) && !strings.Contains(whole, fmt.Sprintf(`{"do":"ended","id":%d}`, id)) {
				want = append(want, fmt.Sprintf("0 stop %d \xff", id))
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "test.journal"), text[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			j := mustOpen(t, dir, "boot")
			shell := &fakeShell{begin: time.Now()}
			CloseAll(t.Context(), j, Options{Actions: withShell(nil, shell), Log: &fakeLog{}, Now: time.Now})
			if diff := cmp.Diff(want, sorted(shell.lines())); diff != "" {
				t.Fatalf("cut at %d (-want +got):\n%s", cut, diff)
			}
			o := opening("", "next", time.Minute)
			j.Begin(99, o) // what is written after a torn line is found again
			j.Close()
			j = mustOpen(t, dir, "boot")
			if f := j.Found(); len(f) != 1 || f[0].Args.Stop != "next" || j.Damaged() != 0 {
				t.Fatalf("cut at %d: found %v, %d damaged", cut, f, j.Damaged())
			}
			j.Close()
		})
	}
}

// TestDamaged: a line that was changed does not count, the others do.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	text := written(t, func(j Journal) {
		a, b := opening("", "stop a", 0), opening("", "stop b", 0)
		j.Begin(1, a)
		j.Begin(2, b)
	})
	flip := bytes.IndexByte(text, '\n') - 4
	text[flip] ^= 1
	if err := os.WriteFile(filepath.Join(dir, "test.journal"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, dir, "another")
		shell, log := &fakeShell{begin: time.Now()}, &fakeLog{begin: time.Now()}
		if found, left := CloseAll(t.Context(), j, Options{Actions: withShell(nil, shell), Log: log, Now: time.Now}); found != 1 || left != 0 {
			t.Errorf("found %d, left %d", found, left)
		}
		wantText(t, strings.ReplaceAll(log.String(), dir, "DIR"), `
0 journal: DIR/test.journal: damaged records skipped: 1
0 journal: openings of an earlier run taken over: 1
0 192.0.2.1: ssh: closed early: opened before the machine was started
0 ssh: running command: stop b
`)
		j.Close()
	})
}

// TestBounded: a journal does not grow with what has been.
func TestBounded(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := mustOpen(t, dir, "boot")
		m, shell, _ := fakes(Options{Journal: j})
		m.Open(opening("start", "stop lasting", 1000*time.Hour), nil)
		largest := int64(0)
		for range 5000 {
			m.Open(opening("start", "stop", time.Second), nil)
			time.Sleep(500 * time.Millisecond)
			st, err := os.Stat(filepath.Join(dir, "test.journal"))
			if err != nil {
				t.Fatal(err)
			}
			largest = max(largest, st.Size())
		}
		if largest > 512<<10 {
			t.Errorf("%d bytes", largest)
		}
		m.kill(shell)
		j = mustOpen(t, dir, "boot")
		f := j.Found()
		if len(f) < 1 || f[0].Args.Stop != "stop lasting" || j.Damaged() != 0 {
			t.Errorf("found %d, damaged %d", len(f), j.Damaged())
		}
		j.Close()
	})
}
