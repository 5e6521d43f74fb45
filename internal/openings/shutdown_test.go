package openings

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/knock"
)

func TestShutdown(t *testing.T) {
	for _, c := range []struct {
		name  string
		open  []knock.Opening
		left  int
		after float64 // seconds, until it returned
		ran   []string
	}{
		{"nothing open", nil, 0, 0, nil},
		{"open doors close at once", []knock.Opening{opening("true", "close", time.Hour)},
			0, 0, []string{"0 true", "1 close"}},
		{"a running start has 15 s", []knock.Opening{opening("sleep 10s", "close", time.Hour)},
			0, 9, []string{"0 sleep 10s", "10 close"}},
		{"and not more", []knock.Opening{opening("hang", "close", time.Hour), opening("true", "close 2", time.Hour)},
			0, 15, []string{"0 hang", "0 true", "1 close 2", "16 close"}},
		{"a stop that fails", []knock.Opening{opening("true", "exit 1", time.Hour)},
			0, 4, []string{"0 true", "1 exit 1", "3 exit 1", "5 exit 1"}},
		{"a stop that hangs", []knock.Opening{opening("true", "hang", time.Hour)},
			1, 55, []string{"0 true", "1 hang"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, shell, _ := fakes(Options{})
				for _, o := range c.open {
					m.Open(o, nil)
				}
				time.Sleep(time.Second)
				begin := time.Now()
				if left := m.Shutdown(t.Context()); left != c.left {
					t.Errorf("%d left", left)
				}
				if d := time.Since(begin).Seconds(); d != c.after {
					t.Errorf("took %g s", d)
				}
				if got := shell.lines(); fmt.Sprint(sorted(got)) != fmt.Sprint(sorted(c.ran)) {
					t.Errorf("ran %q, want %q", got, c.ran)
				}
			})
		})
	}
}

// TestShutdownQueue: starts that wait for a worker never run; 1,000 open doors
// all close.
func TestShutdownQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, shell, log := fakes(Options{})
		for range 1000 {
			m.Open(opening("true", "sleep 10ms", time.Hour), nil)
		}
		time.Sleep(time.Second)
		for range 100 {
			m.Open(opening("sleep 1s", "true", time.Hour), nil)
		}
		if left := m.Shutdown(t.Context()); left != 0 {
			t.Errorf("%d left", left)
		}
		if n := len(shell.lines()); n != 2*1000+MaxRunning {
			t.Errorf("%d commands ran", n)
		}
		if !contains(log.String(), "1 dropped before their start command ran: 36 openings\n") {
			t.Error("no line about the dropped ones")
		}
		if m.Open(opening("true", "", 0), func() { t.Error("announced") }) || len(shell.lines()) != 2*1000+MaxRunning {
			t.Error("opened after the shutdown")
		}
	})
}

// TestShutdownFair: stop commands of one door that hang, or are many, leave no
// other door open.
func TestShutdownFair(t *testing.T) {
	for stop, left := range map[string]int{"hang": 500, "sleep 3s": 0} {
		t.Run(stop, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, shell, _ := fakes(Options{})
				for range 500 {
					m.Open(at("guest", 0, opening("true", stop, time.Hour)), nil)
				}
				m.Open(opening("true", "close", time.Hour), nil)
				time.Sleep(time.Second)
				if got := m.Shutdown(t.Context()); got != left {
					t.Errorf("%d left, want %d", got, left)
				}
				if ran := shell.lines(); !slices.Contains(ran, "1 close") {
					t.Errorf("not closed at once: %q", ran[501:])
				}
			})
		})
	}
}

// TestNothingAnnouncedInVain: a shutdown between OPEN SESAME and the start
// command does not take the start command away without a word.
func TestNothingAnnouncedInVain(t *testing.T) {
	m, shell, log := fakes(Options{})
	down := make(chan int, 1)
	opened := m.Open(opening("true", "close", time.Hour), func() {
		go func() { down <- m.Shutdown(t.Context()) }()
		time.Sleep(20 * time.Millisecond) // for it to begin, if it can
	})
	if left := <-down; left != 0 {
		t.Errorf("%d left", left)
	}
	dropped := contains(log.String(), "dropped before their start command ran: 1 openings")
	if ran := shell.lines(); !opened || !dropped && len(ran) != 2 {
		t.Errorf("opened %v, ran %q, log:\n%s", opened, ran, log)
	}
}
