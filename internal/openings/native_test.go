package openings

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/knock"
)

// fakeKernel is an Action that refuses what must not happen. Openings whose Data
// is "hang" do.
type fakeKernel struct {
	missing
	t     *testing.T
	begin time.Time
	slow  time.Duration // of every call
	fail  int           // that many calls fail
	lacks error         // with which; nil: for good

	mu   sync.Mutex
	open map[string]bool
	busy map[string]bool
	dead bool // fails without a trace
	did  []string
}

func (k *fakeKernel) call(what string, o *knock.Opening) error {
	key := o.Door.Name + " " + o.Addr.String() + " " + o.Args.Value
	k.mu.Lock()
	if k.dead {
		k.mu.Unlock()
		return errors.New("dead")
	}
	if k.busy[key] {
		k.t.Errorf("two calls at once for %s", key)
	}
	k.busy[key] = true
	k.did = append(k.did, fmt.Sprintf("%g %s %s", time.Since(k.begin).Seconds(), what, o.Addr))
	k.mu.Unlock()
	if o.Args.Value == "hang" {
		time.Sleep(time.Hour)
	}
	time.Sleep(k.slow)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy[key] = false
	if k.fail > 0 {
		k.fail--
		if k.lacks != nil {
			return fmt.Errorf("netlink: %w", k.lacks)
		}
		return errors.New("no buffer space")
	}
	k.open[key] = what == "open"
	return nil
}

func (k *fakeKernel) Open(_ context.Context, o *knock.Opening) (int, error) {
	return 0, k.call("open", o)
}
func (k *fakeKernel) Close(_ context.Context, o *knock.Opening) (int, error) {
	return 0, k.call("close", o)
}

// Text leaves what was said at birth.
func (k *fakeKernel) Text(o *knock.Opening) string { return o.What }

func (k *fakeKernel) kill(dead bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dead = dead
}

// calls is what was done, and when.
func (k *fakeKernel) calls() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Sprint(k.did)
}

// stillOpen is what is open in the kernel.
func (k *fakeKernel) stillOpen() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, open := range k.open {
		if open {
			n++
		}
	}
	return n
}

func native(timeout time.Duration) knock.Opening {
	o := opening("", "", timeout)
	o.Action, o.What, o.Args = "nft", "tcp/22", knock.Arguments{Version: 1, Value: "x"}
	return o
}

func TestNative(t *testing.T) {
	for _, c := range []struct {
		name  string
		slow  time.Duration
		fail  int
		knock []time.Duration // when it is opened
		did   string
		log   string
	}{
		{"opens and closes", 0, 0, []time.Duration{0}, "[0 open 192.0.2.1 30 close 192.0.2.1]", `
0 ssh: opened tcp/22 for 192.0.2.1 (30 s)
30 ssh: closed for 192.0.2.1
`},
		{"a second knock extends it", 0, 0, []time.Duration{0, 20 * time.Second},
			"[0 open 192.0.2.1 20 open 192.0.2.1 50 close 192.0.2.1]", `
0 ssh: opened tcp/22 for 192.0.2.1 (30 s)
20 ssh: opened tcp/22 for 192.0.2.1 (30 s)
50 ssh: closed for 192.0.2.1
`},
		{"while it opens", time.Second, 0, []time.Duration{0, time.Second / 2, time.Second / 2},
			"[0 open 192.0.2.1 1 open 192.0.2.1 32 close 192.0.2.1]", ""},
		{"while it closes", time.Second, 0, []time.Duration{0, 31500 * time.Millisecond},
			"[0 open 192.0.2.1 31 close 192.0.2.1 32 open 192.0.2.1 63 close 192.0.2.1]", ""},
		{"cannot open", 0, 1, []time.Duration{0}, "[0 open 192.0.2.1 0 close 192.0.2.1]", `
0 ssh: open tcp/22 for 192.0.2.1: no buffer space
0 ssh: closed for 192.0.2.1: it did not open well
`},
		{"nor close", 0, 3, []time.Duration{0},
			"[0 open 192.0.2.1 0 close 192.0.2.1 1 close 192.0.2.1 3 close 192.0.2.1]", `
0 ssh: open tcp/22 for 192.0.2.1: no buffer space
0 ssh: close tcp/22 for 192.0.2.1: no buffer space
3 ssh: closed for 192.0.2.1: it did not open well
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				k := &fakeKernel{t: t, begin: time.Now(), slow: c.slow, fail: c.fail, open: map[string]bool{}, busy: map[string]bool{}}
				j := mustOpen(t, dir, "boot")
				m, _, log := fakes(Options{Actions: map[string]Action{"nft": k}, Journal: j})
				for _, at := range c.knock {
					time.Sleep(at - time.Since(k.begin))
					m.Open(native(30*time.Second), nil)
				}
				time.Sleep(time.Hour)
				if got := k.calls(); got != c.did {
					t.Errorf("did %s, want %s", got, c.did)
				}
				if c.log != "" {
					wantText(t, log.String(), c.log)
				}
				if m.Pending() != 0 || j.Len() != 0 || len(m.s.latest) != 0 || k.stillOpen() != 0 {
					t.Errorf("pending %d, journal %d, keys %d, open %d", m.Pending(), j.Len(), len(m.s.latest), k.stillOpen())
				}
				j.Close()
			})
		})
	}
}

// TestNativeStorm: whatever the order of knocks, closings and the end, nothing
// is open in the kernel afterwards, and no two calls for one key overlap.
func TestNativeStorm(t *testing.T) {
	for _, how := range []string{"time", "shutdown", "crash", "close"} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				k := &fakeKernel{t: t, begin: time.Now(), slow: 7 * time.Millisecond, open: map[string]bool{}, busy: map[string]bool{}}
				natives := map[string]Action{"nft": k}
				j := mustOpen(t, dir, "boot")
				m, shell, _ := fakes(Options{Actions: natives, Journal: j})
				for i := range 3000 {
					o := native(time.Duration(1+i%50) * time.Millisecond)
					o.Addr = netip.AddrFrom4([4]byte{10, 0, 0, byte(i * i % 100)})
					o.Vars.IP = o.Addr.String()
					m.Open(o, nil)
					time.Sleep(time.Duration(i%3) * 100 * time.Microsecond)
				}
				switch how {
				case "time":
					time.Sleep(time.Hour)
				case "shutdown":
					m.Shutdown(t.Context())
				case "close":
					m.Close(func(*knock.Opening) bool { return true }, "test")
					time.Sleep(time.Second)
				case "crash":
					k.kill(true)
					m.kill(shell)
					k.kill(false)
					if k.stillOpen() == 0 {
						t.Error("the crash left nothing open")
					}
					m = nil
					j = mustOpen(t, dir, "boot")
					CloseAll(t.Context(), j, Options{Actions: withShell(natives, shell), Log: &fakeLog{}, Now: time.Now})
				}
				if n := k.stillOpen(); n != 0 {
					t.Errorf("%d still open", n)
				}
				if m != nil && m.Pending() != 0 || j.Len() != 0 {
					t.Errorf("something is held, %d in the journal", j.Len())
				}
				j.Close()
			})
		})
	}
}

func TestNativeUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, log := fakes(Options{})
		m.Open(native(time.Minute), nil)
		time.Sleep(2 * time.Hour)
		wantText(t, log.String(), `
0 ssh: open tcp/22 for 192.0.2.1: nothing here closes openings of kind "nft"
0 ssh: close tcp/22 for 192.0.2.1: nothing here closes openings of kind "nft"
3600 ssh: close given up for 192.0.2.1 (nothing here closes openings of kind "nft")
`)
	})
}
