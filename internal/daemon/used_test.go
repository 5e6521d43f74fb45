package daemon

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	nftaction "knockd/internal/action/nft"
	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/engine"
	"knockd/internal/eventlog"
	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/openings"
	"knockd/internal/spa"
)

// noon is a time of which all others here are told.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// kernel counts openings in place of a firewall.
type kernel struct {
	nftaction.Action
	opened atomic.Int64
	last   atomic.Pointer[knock.DoorID]
}

func (k *kernel) Open(_ context.Context, o *knock.Opening) (int, error) {
	k.last.Store(&o.Door)
	k.opened.Add(1)
	return 0, nil
}

func (k *kernel) Close(context.Context, *knock.Opening) (int, error) { return 0, nil }

// host is a machine on which daemons follow each other: what is right of the
// capture, with a clock that the test sets.
type host struct {
	t      *testing.T
	dir    string
	clock  time.Time
	keys   spa.Client
	kernel kernel
	log    said
	d      *Daemon
	lines  *eventlog.Log
}

func newHost(t *testing.T) *host {
	h := &host{t: t, dir: t.TempDir(), clock: noon, keys: spa.NewClient("laptop", spa.SHA256)}
	h.write("keys", "[laptop]\n"+h.keys.KeyLines())
	h.start()
	t.Cleanup(h.stop)
	return h
}

func (h *host) write(name, text string) {
	h.t.Helper()
	nettest.Write(h.t, filepath.Join(h.dir, name), text)
}

func (h *host) store() string { return filepath.Join(h.dir, "used") }

// conf is the host's door, and what follows it.
func (h *host) conf(rest string) string {
	return "[ssh]\nspa_key_file = " + filepath.Join(h.dir, "keys") + "\nopen = tcp/22\n" + rest
}

func (h *host) prepare(rest string) []*engine.Door {
	h.t.Helper()
	conf, err := config.Parse("k.conf", []byte(h.conf(rest)))
	if err != nil {
		h.t.Fatal(err)
	}
	list, _, err := engine.Prepare(conf)
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

// start starts a daemon.
func (h *host) start() {
	h.t.Helper()
	h.lines = eventlog.New(eventlog.Outputs{Log: eventlog.Plain{W: &h.log}}, 1000)
	h.d = &Daemon{
		Options: Options{Log: h.lines, OnceFile: h.store(), Now: func() time.Time { return h.clock }},
		conf:    &config.Config{}, calls: make(chan func()), ended: make(chan struct{}),
		admitting: make(chan struct{}, maxAdmitting),
		manager:   openings.New(openings.Options{Log: h.lines, Actions: map[string]openings.Action{"nft": &h.kernel}}),
	}
	h.d.engine = engine.New(h.d.conf, nil, nil, engine.Options{Effects: effects{h.d}})
	h.d.engine.SetLocal([]netip.Addr{local4})
	h.use(h.prepare(""))
}

// use has the daemon use these doors, as a reload does.
func (h *host) use(list []*engine.Door) {
	h.t.Helper()
	if err := h.d.openOnce(list); err != nil {
		h.t.Fatal(err)
	}
	h.d.engine.Swap(h.d.conf, list, h.d.once())
}

// stop ends the daemon in good order.
func (h *host) stop() {
	h.d.manager.Shutdown(context.Background())
	h.d.used.Close()
	h.lines.Close()
}

func (h *host) restart() {
	h.t.Helper()
	h.stop()
	h.start()
}

// message is a packet of the client's, whose clock is off by ahead.
func (h *host) message(ahead time.Duration) []byte {
	h.t.Helper()
	m := spa.Message{User: "tester", Time: h.clock.Add(ahead), Type: spa.Access, Address: netip.IPv4Unspecified(),
		Ports: []knock.Step{{Proto: knock.TCP, Port: 22}}}
	p, err := spa.Seal(m, h.keys, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// send has the daemon see a packet, and waits until that led to what it leads
// to.
func (h *host) send(payload []byte, from string) {
	c := capture.Captured{}
	c.Hit = knock.Hit{Src: netip.MustParseAddr(from), Dst: local4, SrcPort: 40000, DstPort: spa.DefaultPort,
		Proto: knock.UDP, PayloadLen: len(payload)}
	c.Payload = payload
	h.d.batch([]capture.Captured{c})
	h.settle()
}

func (h *host) settle() {
	done := make(chan struct{})
	go func() {
		h.d.background.Wait()
		close(done)
	}()
	for {
		select {
		case call := <-h.d.calls:
			call()
		case <-done:
			return
		}
	}
}

// opens says that a packet opens, once that is done.
func (h *host) opens(payload []byte) {
	h.t.Helper()
	before := h.kernel.opened.Load()
	h.send(payload, "192.0.2.1")
	for range 1000 {
		if h.kernel.opened.Load() == before+1 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	h.lines.Flush()
	h.t.Fatalf("not opened\n%s", h.log.String())
}

// shut says that a packet opens for nobody, and what the log says of it.
func (h *host) shut(when string, payload []byte, want string) {
	h.t.Helper()
	h.lines.Flush()
	before, length := h.kernel.opened.Load(), h.log.Len()
	for _, from := range []string{"192.0.2.1", "198.51.100.66"} {
		h.send(payload, from)
	}
	h.lines.Flush()
	said := h.log.String()[length:]
	if n := strings.Count(said, want); n != 2 || strings.Contains(said, "SESAME") || h.kernel.opened.Load() != before {
		h.t.Errorf("%s: opened %d times, said:\n%swant twice: %s", when, h.kernel.opened.Load()-before, said, want)
	}
}

// TestUsedOnce: what was used opens no second time, whatever becomes of the
// clock, the daemon and the store.
func TestUsedOnce(t *testing.T) {
	const used, floor, early = "refused: used before", "what was used up to then is no longer remembered", "too early (limit 120 s), check the clocks"
	for _, ahead := range []time.Duration{0, 119 * time.Second, -118 * time.Second} {
		t.Run(fmt.Sprint(ahead), func(t *testing.T) {
			h := newHost(t)
			h.clock = noon.Add(200 * time.Second)
			p := h.message(ahead)
			h.opens(p)
			h.shut("at once", p, used)
			h.restart()
			h.shut("after a restart", p, used)

			h.clock = noon.Add(190 * time.Second)
			want := used
			if ahead > 110*time.Second {
				want = early
			}
			h.shut("clock set back a little", p, want)
			h.clock = time.Unix(1000, 0)
			h.shut("no clock", p, early)
			h.restart()
			h.shut("no clock at the start", p, early)

			h.clock = noon.Add(time.Hour)
			h.restart()
			h.shut("long after", p, "too old (limit 120 s), check the clocks")
			h.clock = noon.Add(200 * time.Second)
			h.shut("forgotten, clock set back", p, floor)
			h.restart()
			h.shut("forgotten, clock set back, restart", p, floor)
		})
	}
}

// Test2040: messages, their times and what was used are told apart after 2038.
func Test2040(t *testing.T) {
	h := newHost(t)
	h.clock = time.Unix(1<<31-10, 0)
	h.restart()
	for _, step := range []time.Duration{5 * time.Second, time.Minute, 2 * 365 * 24 * time.Hour} {
		h.clock = h.clock.Add(step)
		p, old, early := h.message(0), h.message(-3*time.Minute), h.message(3*time.Minute)
		h.opens(p)
		h.shut("at once", p, "refused: used before")
		h.restart()
		h.shut("after a restart", p, "refused: used before")
		h.shut("old", old, "too old (limit 120 s), check the clocks")
		h.shut("early", early, "too early (limit 120 s), check the clocks")
	}
	if y := h.clock.Year(); y != 2040 {
		t.Errorf("the clock is in %d", y)
	}
}

// TestStoreTakenAway: a store that was deleted while no daemon ran makes
// nothing new that could have been used, also by clients with a fast clock.
func TestStoreTakenAway(t *testing.T) {
	h := newHost(t)
	h.clock = noon.Add(time.Minute)
	all := [][]byte{h.message(0), h.message(119 * time.Second)}
	for _, p := range all {
		h.opens(p)
	}
	h.stop()
	if err := os.Remove(h.store()); err != nil {
		t.Fatal(err)
	}
	h.clock = h.clock.Add(time.Second)
	h.start()
	for _, p := range all {
		h.shut("deleted", p, "not newer than 2026-11-23 12:03:01 UTC")
	}
	h.lines.Flush()
	if want := h.store() + ": the store of used messages was taken away: messages stamped up to 2026-11-23 12:03:01 UTC may have been used, and are refused\n"; !strings.Contains(h.log.String(), want) {
		t.Errorf("log:\n%swant %s", h.log.String(), want)
	}
	h.clock = noon.Add(3*time.Minute + time.Second)
	h.shut("as soon as it is not early", all[1], "not newer than")
	h.shut("a new one too soon", h.message(0), "not newer than")
	h.clock = h.clock.Add(time.Second)
	h.opens(h.message(0))
}

// TestNotAdmitted: a message that comes while too many wait for the disk opens
// neither at once nor later, for nobody, also after a restart.
func TestNotAdmitted(t *testing.T) {
	h := newHost(t)
	h.clock = noon.Add(time.Minute)
	for range maxAdmitting {
		h.d.admitting <- struct{}{}
	}
	p := h.message(0)
	h.send(p, "192.0.2.1")
	h.lines.Flush()
	if want := "192.0.2.1: ssh (laptop): SPA packet refused: too many wait for the disk; this one is used up, send another\n"; !strings.Contains(h.log.String(), want) {
		t.Errorf("log:\n%swant %s", h.log.String(), want)
	}
	for range maxAdmitting {
		<-h.d.admitting
	}
	h.shut("when there is room again", p, "refused: used before")
	h.restart()
	h.shut("after a restart", p, "refused: used before")
	h.opens(h.message(0))
}

// TestReplaysCostNothing: a flood of a used message starts no goroutine, takes no
// room and asks no disk, be its octets known or only its token.
func TestReplaysCostNothing(t *testing.T) {
	h := newHost(t)
	h.clock = noon.Add(time.Minute)
	p := h.message(0)
	h.opens(p)
	h.restart() // which forgets the octets
	os.Remove(h.store())
	before := runtime.NumGoroutine()
	c := capture.Captured{}
	c.Hit = knock.Hit{Src: netip.MustParseAddr("198.51.100.66"), Dst: local4, DstPort: spa.DefaultPort, Proto: knock.UDP, PayloadLen: len(p)}
	c.Payload = p
	h.d.batch(slices.Repeat([]capture.Captured{c}, 256))
	if n := runtime.NumGoroutine(); n > before || len(h.d.admitting) > 0 {
		t.Errorf("%d goroutines, before %d; %d wait", n, before, len(h.d.admitting))
	}
	if _, err := os.Stat(h.store()); err == nil {
		t.Error("the store was written")
	}
	h.lines.SetRate(0)
	batch := []capture.Captured{c}
	if n := testing.AllocsPerRun(100, func() { h.d.batch(batch) }); n > 0 {
		t.Errorf("%v allocations for a replay", n)
	}
}

// TestCallsFirst: all that is posted is done before the next packets.
func TestCallsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Daemon{calls: make(chan func()), ended: make(chan struct{}), source: newFakeSource()}
		done := 0
		for range 100 {
			go d.post(func() { done++ })
		}
		synctest.Wait()
		if d.catchUp(); done != 100 {
			t.Errorf("%d of 100 calls done", done)
		}
		close(d.ended)
	})
}

// TestStoreUnwritable: nothing opens, and the log says why.
func TestStoreUnwritable(t *testing.T) {
	h := newHost(t)
	h.clock = noon.Add(time.Minute)
	os.Remove(h.store())
	if err := os.Mkdir(h.store(), 0o700); err != nil { // nothing can be moved there
		t.Fatal(err)
	}
	p := h.message(0)
	h.send(p, "192.0.2.1")
	h.lines.Flush()
	if h.kernel.opened.Load() != 0 || !strings.Contains(h.log.String(), "192.0.2.1: ssh (laptop): SPA packet refused: replay store: write store: ") {
		t.Errorf("opened %d times\n%s", h.kernel.opened.Load(), h.log.String())
	}
	os.Remove(h.store())
	h.shut("refused and used up", p, "refused: used before")
	h.opens(h.message(0))
}

// TestChangedMeanwhile: a message that waits for the disk while a reload
// changes or takes its door opens nothing; an unchanged door notices nothing.
func TestChangedMeanwhile(t *testing.T) {
	for _, c := range []struct {
		name  string
		same  bool
		rest  string
		keyed bool
	}{
		{name: "unchanged", same: true},
		{name: "another setting", rest: "max_timeout = 60\n"},
		{name: "another key", keyed: true},
	} {
		h := newHost(t)
		h.clock = noon.Add(time.Minute)
		old := h.d.engine.Doors()[0]
		if c.keyed {
			h.write("keys", "[laptop]\n"+spa.NewClient("laptop", spa.SHA256).KeyLines())
		}
		changed := h.prepare(c.rest)
		p := capture.Captured{}
		p.Payload = h.message(0)
		p.Hit = knock.Hit{Src: netip.MustParseAddr("192.0.2.1"), Dst: local4, DstPort: spa.DefaultPort, Proto: knock.UDP, PayloadLen: len(p.Payload)}
		h.d.batch([]capture.Captured{p})
		call := <-h.d.calls // the disk is done, the loop is busy
		h.use(changed)
		if got := h.d.engine.Doors()[0] == old; got != c.same {
			t.Errorf("%s: the same: %v", c.name, got)
		}
		call()
		h.settle()
		h.stop()
		opened := strings.Contains(h.log.String(), "SESAME")
		refused := strings.Contains(h.log.String(), "192.0.2.1: ssh (laptop): SPA packet refused: the door was changed meanwhile\n")
		if opened != c.same || refused == c.same {
			t.Errorf("%s:\n%s", c.name, h.log.String())
		}
		h.start()
	}
}

// TestDoorsOfOneName: of two doors with keys that bear the same name, the one
// opens whose keys they are.
func TestDoorsOfOneName(t *testing.T) {
	h := newHost(t)
	h.clock = noon.Add(time.Minute)
	other := filepath.Join(h.dir, "other")
	h.write("other", "[phone]\n"+spa.NewClient("phone", spa.SHA256).KeyLines())
	conf, err := config.Parse("k.conf", []byte("[ssh]\nspa_key_file = "+other+"\nopen = tcp/22\n[ssh]\nspa_key_file = "+filepath.Join(h.dir, "keys")+
		"\nopen = tcp/22\n"))
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := engine.Prepare(conf)
	if err != nil {
		t.Fatal(err)
	}
	h.use(list)
	h.opens(h.message(0))
	if got := h.kernel.last.Load(); *got != (knock.DoorID{Name: "ssh", N: 2}) {
		t.Errorf("opened %v", got)
	}
}
