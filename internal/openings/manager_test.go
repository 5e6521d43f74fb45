package openings

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// TestLines: the lines and their times, as knockd 0.8 has them.
func TestLines(t *testing.T) {
	for _, c := range []struct {
		name string
		o    knock.Opening
		want string
	}{
		{"start, wait, stop", opening("sleep 1s", "sleep 1s", 10*time.Second), `
0 192.0.2.1: ssh: OPEN SESAME
0 ssh: running command: sleep 1s
11 192.0.2.1: ssh: command timeout
11 ssh: running command: sleep 1s
`},
		{"statuses", opening("exit 2", "exit 0", time.Second), `
0 192.0.2.1: ssh: OPEN SESAME
0 ssh: running command: exit 2
0 ssh: command returned non-zero status code (2)
1 192.0.2.1: ssh: command timeout
1 ssh: running command: exit 0
`},
		{"no stop", opening("true", "", time.Second), `
0 192.0.2.1: ssh: OPEN SESAME
0 ssh: running command: true
`},
		{"stop without start", opening("", "true", time.Second), `
0 192.0.2.1: ssh: OPEN SESAME
`},
		{"no time", opening("true", "true", 0), `
0 192.0.2.1: ssh: OPEN SESAME
0 ssh: running command: true
0 192.0.2.1: ssh: command timeout
0 ssh: running command: true
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _, log := fakes(Options{})
				if !m.Open(c.o, func() {
					log.Event(event.Admitted{Door: c.o.Door, Knocker: event.Knocker{Addr: c.o.Addr, Host: c.o.Host}})
				}) {
					t.Error("refused")
				}
				time.Sleep(time.Hour)
				wantText(t, log.String(), c.want)
				if n := m.Pending(); n != 0 {
					t.Errorf("%d left", n)
				}
			})
		})
	}
}

func TestStartLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, log := fakes(Options{})
		o := opening("hang", "true", time.Second)
		o.Args.StartLimit, o.Host = 5*time.Second, "host.example"
		m.Open(o, nil)
		time.Sleep(time.Minute)
		wantText(t, log.String(), `
0 ssh: running command: hang
5 ssh: command ended without a status: time limit reached
6 192.0.2.1 (host.example): ssh: command timeout
6 ssh: running command: true
`)
	})
}

// TestHeld: fewer openings may be held; of these, too, one door has at most half.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, _ := fakes(Options{Held: 10})
		for i := range 7 {
			o := opening("true", "true", time.Minute)
			o.Addr = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			if opened := m.Open(o, nil); opened != (i < 5) {
				t.Errorf("opening %d: %v", i, opened)
			}
		}
		if n := m.Limit(); n != 10 {
			t.Errorf("limit %d", n)
		}
		time.Sleep(2 * time.Minute)
		if n := m.Pending(); n != 0 {
			t.Errorf("%d left", n)
		}
	})
}

// Test2040: doors close on time with a clock beyond 2038.
func Test2040(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := time.Until(time.Date(2040, 2, 29, 12, 0, 0, 0, time.UTC))
		m, _, log := fakes(Options{Now: func() time.Time { return time.Now().Add(ahead) }})
		m.Open(opening("true", "false", 30*time.Second), nil)
		time.Sleep(time.Minute)
		wantText(t, log.String(), `
0 ssh: running command: true
30 192.0.2.1: ssh: command timeout
30 ssh: running command: false
`)
	})
}

// TestBounds: one door is refused what would be more than half of all openings,
// with a line every ten seconds, and all of its commands run.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, shell, log := fakes(Options{})
		for i := range MaxWaiting / 2 {
			o := opening("sleep 10ms", "sleep 10ms", time.Hour)
			o.Addr = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			if !m.Open(o, nil) {
				t.Fatalf("refused at %d", i)
			}
		}
		log.forget()
		for range 25 {
			if m.Open(opening("true", "true", 0), func() { t.Error("announced") }) {
				t.Error("accepted one too many")
			}
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Hour)
		if shell.peak() > MaxRunning {
			t.Errorf("%d ran at once", shell.peak())
		}
		if n := len(shell.lines()); n != MaxWaiting {
			t.Errorf("%d commands ran", n)
		}
		if m.Pending() != 0 {
			t.Errorf("%d left", m.Pending())
		}
		refusals := ""
		for i, l := range []string{"", " (9 such lines left out)", " (9 such lines left out)"} {
			refusals += fmt.Sprintf("%d 192.0.2.1: ssh: not opened: 10000 openings are held already, 10000 of this door%s\n", 10*i, l)
		}
		got := ""
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "not opened") {
				got += line
			}
		}
		wantText(t, got, refusals)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, shell, log := fakes(Options{})
		other := opening("open other", "close other", time.Minute)
		other.Door.Name = "other"
		m.Open(other, nil)
		m.Open(opening("open ssh", "close ssh", time.Minute), nil)
		m.Open(opening("sleep 10s", "close slow", time.Minute), nil)
		time.Sleep(time.Second)
		isSSH := func(o *knock.Opening) bool { return o.Door.Name == "ssh" }
		if n := m.Close(isSSH, "the door was removed"); n != 2 {
			t.Errorf("closed %d", n)
		}
		if n := m.Close(isSSH, "the door was removed"); n != 1 { // the slow one, still
			t.Errorf("closed %d again", n)
		}
		time.Sleep(2 * time.Minute)
		want := []string{"0 open other", "0 open ssh", "0 sleep 10s", "1 close ssh", "10 close slow", "60 close other"}
		if got := shell.lines(); fmt.Sprint(sorted(got)) != fmt.Sprint(sorted(want)) {
			t.Errorf("got %q, want %q", got, want)
		}
		if !contains(log.String(), "1 192.0.2.1: ssh: closed early: the door was removed\n1 ssh: running command: close ssh\n") {
			t.Error(log.String())
		}
	})
}

// TestRetries: a stop command that fails is tried again, and given up.
func TestRetries(t *testing.T) {
	for _, c := range []struct {
		name, stop string
		tries      int
		lastFrom   float64
		lastTo     float64
		want       string
	}{
		{"said no", "exit 1", 3, 26, 26, `
0 ssh: running command: true
1 192.0.2.1: ssh: command timeout
1 ssh: running command: exit 1
1 ssh: command returned non-zero status code (1)
26 ssh: stop command given up for 192.0.2.1 (status 1): exit 1
`},
		{"iptables' lock", "exit 4", 21, 3601, 3601, `
0 ssh: running command: true
1 192.0.2.1: ssh: command timeout
1 ssh: running command: exit 4
1 ssh: command returned non-zero status code (4)
3601 ssh: stop command given up for 192.0.2.1 (status 4): exit 4
`},
		{"no process", "fork", 21, 3601, 3601, `
0 ssh: running command: true
1 192.0.2.1: ssh: command timeout
1 ssh: running command: fork
1 ssh: command ended without a status: fork: no more processes
3601 ssh: stop command given up for 192.0.2.1 (fork: no more processes): fork
`},
		{"hangs", "hang", 18, 3661, 3661, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, shell, log := fakes(Options{})
				m.Open(opening("true", c.stop, time.Second), nil)
				time.Sleep(3 * time.Hour)
				ran := shell.lines()
				if len(ran)-1 != c.tries {
					t.Errorf("%d tries: %q", len(ran)-1, ran)
				}
				var last float64
				fmt.Sscan(ran[len(ran)-1], &last)
				if last < c.lastFrom || last > c.lastTo {
					t.Errorf("last try after %g s", last)
				}
				if c.want != "" {
					wantText(t, log.String(), c.want)
				}
				if m.Pending() != 0 {
					t.Error("still held")
				}
			})
		})
	}
}

// TestSuspend: the time that a machine sleeps counts, although its timers stand
// still.
func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slept atomic.Int64
		m, shell, _ := fakes(Options{Now: func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }})
		m.Open(opening("open", "close", 30*time.Minute), nil)
		time.Sleep(time.Minute)
		slept.Store(int64(time.Hour))
		time.Sleep(wakeAtLeast)
		synctest.Wait()
		if ran := shell.lines(); len(ran) != 2 {
			t.Errorf("ran %q", ran)
		}
		m.Shutdown(t.Context())
	})
}

func TestOpenings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, _ := fakes(Options{})
		a, b := opening("open", "close", time.Hour), opening("sleep 1h", "close", time.Hour)
		m.Open(a, nil)
		m.Open(b, nil)
		time.Sleep(time.Minute)
		a.What, b.What = "a command", "a command"
		want := []Pending{{Opening: a, Closes: 59 * time.Minute}, {Opening: b}}
		if got := m.Openings(); !slices.Equal(got, want) {
			t.Errorf("got %+v", got)
		}
		m.Shutdown(t.Context())
	})
}
