package ruleset

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// long reports whether the long form of the tests is asked for.
func long() bool { return os.Getenv("KNOCKD_LONG") != "" }

// The phases of a trace are phaseLength apart. Attempts of a door with the
// short seq_timeout never see the next phase, those with the middle one see
// one, the others all. A phase that took longer than phaseSlack to send, on a
// loaded machine, proves nothing.
const (
	phaseLength   = 1500 * time.Millisecond
	phaseSlack    = 400 * time.Millisecond
	shortTimeout  = time.Second
	middleTimeout = 2 * time.Second
	longTimeout   = time.Minute
	phases        = 3
)

// world makes random doors and packets.
type world struct {
	*rand.Rand
	doors []*Door
	pool  []knock.Step
	seq   uint32
	local []netip.Addr
	// onlySteps leaves out the repeats of TCP packets that took no step, which
	// hashlimit ignores and the tracker does not.
	onlySteps bool
	mark      string // ends the names of the doors, so that late log lines are known
}

func newWorld(seed1, seed2 uint64, used uint32) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed1, seed2)), seq: used, mark: fmt.Sprintf("-%d.", used)}
	for _, a := range []string{nettest.Server4, nettest.Server6, other4, other6} {
		w.local = append(w.local, netip.MustParseAddr(a))
	}
	for _, s := range []string{"tcp 7000", "tcp 7001", "tcp 7002", "udp 7000", "udp 7003"} {
		var proto string
		var port uint16
		fmt.Sscan(s, &proto, &port)
		p := knock.TCP
		if proto == "udp" {
			p = knock.UDP
		}
		w.pool = append(w.pool, knock.Step{Proto: p, Port: port})
	}
	for i := range 1 + w.IntN(4) {
		w.doors = append(w.doors, w.door(i))
	}
	return w
}

// newManyWorld is newWorld with more doors than are asked one by one.
func newManyWorld(seed1, seed2 uint64, used uint32) *world {
	w := newWorld(seed1, seed2, used)
	for port := uint16(7010); port < 7050; port++ {
		w.pool = append(w.pool, knock.Step{Proto: pick(w, knock.TCP, knock.UDP), Port: port})
	}
	w.doors = nil
	for i := range fewDoors + 1 + w.IntN(20) {
		w.doors = append(w.doors, w.door(i))
	}
	return w
}

// options are those of a ruleset that has all its parts or none.
func (w *world) options() Options {
	return Options{StageRate: -1, fewDoors: pick(w, -1, 0), treeFrom: pick(w, -1, 0)}
}

func pick[T any](w *world, all ...T) T { return all[w.IntN(len(all))] }

func (w *world) door(i int) *Door {
	d := &Door{}
	d.Name = fmt.Sprintf("door%d%s", i, w.mark)
	d.Timeout = pick(w, shortTimeout, middleTimeout, longTimeout)
	for range pick(w, 1, 2, 2, 3, 3, 4, 5) {
		d.Sequence = append(d.Sequence, pick(w, w.pool...))
	}
	if w.IntN(2) == 0 {
		for f := knock.FIN; f <= knock.URG; f <<= 1 {
			if n := w.IntN(6); n < 2 {
				d.Flags = d.Flags.Add(f, n == 0)
			}
		}
	}
	if w.IntN(4) == 0 {
		d.Target = pick(w, w.local...)
	}
	d.Open = []knock.PortRange{{Proto: pick(w, knock.TCP, knock.UDP), First: 2000, Last: uint16(2000 + w.IntN(3))}}
	if w.IntN(4) == 0 {
		for p := uint16(3000); p < 3100; p += 3 { // enough for a filter
			d.Open = append(d.Open, knock.PortRange{Proto: knock.TCP, First: p, Last: p})
		}
	}
	d.CmdTimeout = pick(w, 0, time.Minute)
	w.rules(d)
	return d
}

// rules gives a door some of the keys that knockd 0.8 does not know.
func (w *world) rules(d *Door) {
	d.ForgiveRepeats = w.IntN(3) == 0
	if w.IntN(3) == 0 {
		d.Strict = true
		if d.Flags == (knock.FlagMatch{}) || w.IntN(2) == 0 {
			d.Flags = knock.FlagMatch{Set: knock.SYN, Clear: knock.ACK}
		}
		for range w.IntN(3) {
			d.StrictIgnore = append(d.StrictIgnore, pick(w,
				knock.PortRange{Proto: knock.TCP, First: 9999, Last: 10000}, knock.PortRange{Proto: knock.TCP, First: 7001, Last: 7002},
				knock.PortRange{Proto: knock.UDP, First: 1, Last: 7002}, knock.PortRange{Proto: knock.UDP, First: 7003, Last: 65535}))
		}
	}
	prefixes := []string{"10.99.0.0/28", "10.99.0.8/29", "10.99.0.5/32", "fd99::/124", "fd99::8/125", "10.0.0.0/8", "fd00::/8"}
	if w.IntN(4) == 0 {
		for range 1 + w.IntN(3) {
			d.Allow = append(d.Allow, netip.MustParsePrefix(pick(w, prefixes...)))
		}
	}
	if w.IntN(4) == 0 {
		for range 1 + w.IntN(3) {
			d.Deny = append(d.Deny, netip.MustParsePrefix(pick(w, append(prefixes[:5:5], "10.99.0.16/29", "fd99::4/126", "::/0")...)))
		}
	}
}

// hits returns what one source sends, in order.
func (w *world) hits(src netip.Addr) []knock.Hit {
	var out []knock.Hit
	for n := 1 + w.IntN(14); len(out) < n; {
		if w.IntN(10) < 6 {
			d := pick(w, w.doors...)
			for _, s := range d.Sequence {
				out = append(out, w.hit(src, s, d))
				if w.IntN(12) == 0 {
					out = append(out, w.hit(src, pick(w, append(w.others(), s)...), d))
				}
			}
			continue
		}
		if len(out) > 0 && w.IntN(3) == 0 {
			again := pick(w, out...)
			if again.Proto == knock.TCP && !w.onlySteps && w.IntN(4) == 0 {
				again.Flags = pick(w, knock.SYN, knock.ACK, knock.SYN|knock.PSH)
			}
			out = append(out, again)
			continue
		}
		out = append(out, w.hit(src, pick(w, append(w.pool, w.others()...)...), nil))
	}
	return out
}

// others are ports in no sequence, some of which doors open.
func (w *world) others() []knock.Step {
	return []knock.Step{{Proto: knock.TCP, Port: 9999}, {Proto: knock.UDP, Port: 9999}, {Proto: knock.TCP, Port: 2000}, {Proto: knock.UDP, Port: 2001}}
}

// hit makes one packet; one for a door has, more often than not, the
// destination and the flags that it asks for.
func (w *world) hit(src netip.Addr, s knock.Step, d *Door) knock.Hit {
	w.seq++
	h := knock.Hit{Src: src, SrcPort: uint16(2000 + w.seq%63000), Proto: s.Proto, DstPort: s.Port}
	h.Dst = w.local[0]
	if !src.Is4() {
		h.Dst = w.local[1]
	}
	if w.IntN(6) == 0 {
		h.Dst = w.local[2]
		if !src.Is4() {
			h.Dst = w.local[3]
		}
	}
	if d != nil && d.Target.IsValid() && d.Target.Is4() == src.Is4() && w.IntN(5) > 0 {
		h.Dst = d.Target
	}
	if s.Proto == knock.TCP {
		h.Seq = w.seq * 7
		h.Flags = pick(w, knock.SYN, knock.SYN|knock.ACK, knock.ACK, 0, knock.Flags(w.IntN(64)))
		if d != nil && w.IntN(8) > 0 {
			h.Flags = d.Flags.Set | pick(w, 0, 0, knock.PSH&^d.Flags.Clear)
		}
	}
	return h
}

// trace interleaves what many sources send, cut into phases.
func (w *world) trace(perFamily int) [phases][]knock.Hit {
	var queues [][]knock.Hit
	for i := range perFamily {
		queues = append(queues,
			w.hits(netip.AddrFrom4([4]byte{10, 99, 0, byte(i + 1)})),
			w.hits(netip.AddrFrom16([16]byte{0xfd, 0x99, 15: byte(i + 1)})))
	}
	var out [phases][]knock.Hit
	for i := range out {
		for len(queues) > 0 {
			if i < phases-1 && len(out[i]) > perFamily*4 {
				break
			}
			q := w.IntN(len(queues))
			out[i] = append(out[i], queues[q][0])
			if queues[q] = queues[q][1:]; len(queues[q]) == 0 {
				queues = slices.Delete(queues, q, q+1)
			}
		}
	}
	return out
}

// play sends a trace and asks the tracker about the same packets at the same
// times. It reports false if the machine was too slow for the times to count.
func (w *world) play(l *lab, trace [phases][]knock.Hit) (want map[netip.Addr][]string, sent, n int, ok bool) {
	tr := knock.NewTracker(knock.DefaultMaxAttempts)
	tr.SetLocal(w.local)
	var doors []*knock.Door
	for _, d := range w.doors {
		doors = append(doors, &d.Door)
	}
	tr.SetDoors(doors)
	took := map[knock.Hit]bool{}
	want = map[netip.Addr][]string{}
	start := time.Now()
	for i, hits := range trace {
		phase := start.Add(time.Duration(i) * phaseLength)
		time.Sleep(time.Until(phase))
		for k, h := range hits {
			if k%40 == 39 {
				time.Sleep(time.Millisecond) // let the receiver's queue drain
			}
			if before, again := took[h]; again && w.onlySteps && h.Proto == knock.TCP && !before {
				continue
			}
			sent++
			l.send(h)
			took[h] = false
			for _, e := range tr.Observe(h, phase) {
				took[h] = took[h] || e.Kind != knock.Expired
				switch e.Kind {
				case knock.Stage:
					want[e.Src] = append(want[e.Src], fmt.Sprintf("%s: Stage %d", e.Door.Name, e.Stage))
				case knock.Opened:
					want[e.Src] = append(want[e.Src], e.Door.Name+": OPEN SESAME")
				default:
					continue
				}
				n++
			}
		}
		if time.Since(phase) > phaseSlack {
			return nil, 0, 0, false
		}
	}
	return want, sent, n, true
}

// compare runs random sets of doors through load and the tracker.
func compare(t *testing.T, sets, workers, perFamily int, newWorld func(seed1, seed2 uint64, used uint32) *world, load func(l *lab, w *world)) {
	nettest.NeedRoot(t)
	nettest.NeedProgram(t, "ip", "nft")
	s := nettest.Seed(t)
	var next, openings, lines, slow atomic.Int64
	t.Run("sets", func(t *testing.T) {
		for range workers {
			t.Run("worker", func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				l.pin()
				l.listen()
				for n := next.Add(1); n <= int64(sets) && !t.Failed(); n = next.Add(1) {
					if only := os.Getenv("KNOCKD_SET"); only != "" && only != fmt.Sprint(n) {
						continue
					}
					for try := uint64(0); ; try++ {
						// No flow of an earlier set comes again, that conntrack knows.
						w := newWorld(s, uint64(n)+try<<32, l.used)
						load(l, w)
						trace := w.trace(perFamily)
						want, sent, count, ok := w.play(l, trace)
						got := l.logged(count, w.mark)
						l.used = w.seq
						if !ok || l.arrived() != sent {
							slow.Add(1)
							continue
						}
						lines.Add(int64(count))
						openings.Add(int64(differ(t, n, w, trace, want, got)))
						break
					}
				}
			})
		}
	})
	t.Logf("%d sets of doors, %d log lines, %d openings, %d traces repeated because the machine was slow or lost a packet", sets, lines.Load(), openings.Load(), slow.Load())
	if openings.Load() == 0 {
		t.Error("no door ever opened")
	}
}

// differ reports each source that the kernel and the tracker judge
// differently, and returns how many openings the tracker wants. Lines are
// compared door by door: what one packet does to attempts that did not begin
// together has no fixed order in a ruleset.
func differ(t *testing.T, n int64, w *world, trace [phases][]knock.Hit, want, got map[netip.Addr][]string) (openings int) {
	t.Helper()
	for _, hits := range trace {
		for _, h := range hits {
			for _, d := range w.doors {
				a, b := of(d.Name, want[h.Src]), of(d.Name, got[h.Src])
				if !slices.Equal(a, b) {
					t.Errorf("set %d, %v, %+v:\nkernel  %q\ntracker %q\n%s", n, h.Src, *d, got[h.Src], want[h.Src], sent(trace, h.Src))
					delete(want, h.Src)
					delete(got, h.Src)
				}
				openings += strings.Count(strings.Join(a, "\n"), Opened)
			}
			delete(want, h.Src)
			delete(got, h.Src)
		}
	}
	if len(got) > 0 {
		t.Errorf("set %d: strange sources %v", n, got)
	}
	return openings
}

// of returns the lines of one door.
func of(door string, lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(s string) bool { return !strings.HasPrefix(s, door+": ") })
}

// sent lists what a source sent.
func sent(trace [phases][]knock.Hit, src netip.Addr) string {
	var b strings.Builder
	for i, hits := range trace {
		for _, h := range hits {
			if h.Src == src {
				fmt.Fprintf(&b, "phase %d: %+v\n", i, h)
			}
		}
	}
	return b.String()
}

// TestNftablesDecidesLikeTracker: random doors, random packets, pauses and
// expiry; every line of the log is compared, not only the openings.
func TestNftablesDecidesLikeTracker(t *testing.T) {
	sets := 12
	if long() {
		sets = 300
	}
	compare(t, sets, 6, 40, newWorld, loadNftWorld)
}

func loadNftWorld(l *lab, w *world) {
	l.server.Run("nft", "flush", "ruleset")
	l.load("nft", []byte(probe), "-f")
	l.loadNft(w.doors, w.options())
}

// TestIptablesDecidesLikeTracker is the same for -m recent, in both flavours
// of iptables.
func TestIptablesDecidesLikeTracker(t *testing.T) {
	sets := 6
	if long() {
		sets = 100
	}
	for _, flavour := range []string{"nft", "legacy"} {
		t.Run(flavour, func(t *testing.T) {
			compare(t, sets, 6, 40, newWorld, loadIptablesWorld(t, flavour))
		})
	}
}

func loadIptablesWorld(t *testing.T, flavour string) func(*lab, *world) {
	nettest.NeedProgram(t, "iptables-"+flavour+"-restore")
	if flavour == "nft" {
		nettest.NeedRealRoot(t) // who alone may send so many rules at once
	}
	return func(l *lab, w *world) {
		w.onlySteps = true
		l.load("nft", []byte("table inet probe {}\ndelete table inet probe\n"+probe), "-f")
		l.loadIptables(flavour, w.doors, w.options())
	}
}

// TestManyDoorsDecideLikeTracker is the same with many doors.
func TestManyDoorsDecideLikeTracker(t *testing.T) {
	nettest.NeedRealRoot(t) // who alone may send so many rules at once
	sets := 3
	if long() {
		sets = 50
	}
	t.Run("nftables", func(t *testing.T) {
		compare(t, sets, 3, 40, newManyWorld, loadNftWorld)
	})
	for _, flavour := range []string{"nft", "legacy"} {
		t.Run("iptables-"+flavour, func(t *testing.T) {
			compare(t, sets, 3, 40, newManyWorld, loadIptablesWorld(t, flavour))
		})
	}
}
