package knock_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"knockd/internal/conformance"
	"knockd/internal/knock"
)

// FuzzTracker plays doors and hits read from the input, with reloads and
// changes of address between them, and holds what comes out against what must
// always be true.
func FuzzTracker(f *testing.F) {
	f.Add([]byte("\x03\x02\x01\x02\x03\x05\x00\x00\x01\x01\x00\x02\x01\x00\x03"))
	f.Add([]byte("\x01\x01\x01\x01\x00\x00\x00\x01\x01\x00\x01\x01\x00\x01\xf0\x00\x01\xf8\x01"))
	f.Add([]byte("\x02\x05\x01\x02\x01\x02\x01\x08\x12\x30\x10\x11\x12\x13\x14\x15\xe1\xff\x00\x21\x22\x23"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &input{data: data}
		w := newWitness(t, 1+in.n(8))
		w.doors = in.doors()
		w.tracker.SetDoors(w.doors)
		w.twin.SetDoors(w.doors)
		for len(in.data) > 0 {
			w.step(in)
		}
	})
}

// input turns bytes into choices; when it ends, every choice is 0.
type input struct{ data []byte }

func (in *input) n(below int) int {
	if len(in.data) == 0 {
		return 0
	}
	b := in.data[0]
	in.data = in.data[1:]
	return int(b) % below
}

func (in *input) doors() (doors []*knock.Door) {
	for i := range in.n(5) {
		d := &knock.Door{Name: fmt.Sprint("door", i), Timeout: time.Duration(in.n(5)) * time.Second}
		for range in.n(6) {
			d.Sequence = append(d.Sequence, in.fuzzStep())
		}
		for range in.n(3) {
			d.Flags = d.Flags.Add(1<<in.n(6), in.n(2) == 0)
		}
		if in.n(4) == 0 {
			d.Target = netip.AddrFrom4([4]byte{192, 0, 2, byte(in.n(2))})
		}
		if in.n(3) == 0 {
			in.rules(d)
		}
		doors = append(doors, d)
	}
	return doors
}

// rules gives a door some of the keys that knockd 0.8 does not know.
func (in *input) rules(d *knock.Door) {
	d.Strict, d.ForgiveRepeats = in.n(2) == 1, in.n(2) == 1
	if in.n(2) == 1 {
		d.StrictIgnore = []knock.PortRange{{Proto: knock.TCP, First: 2, Last: uint16(2 + in.n(3))}}
	}
	if in.n(3) == 1 {
		d.Deny = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, 2}), 31)}
	}
	if in.n(3) == 1 {
		d.Allow = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, 0}), 30+in.n(3))}
	}
	if in.n(3) == 1 {
		d.Cooldown, d.CooldownForAll = time.Duration(1+in.n(5))*time.Second, in.n(2) == 1
	}
	if in.n(3) == 1 {
		d.PacketLength = knock.Lengths{Min: in.n(2), Max: in.n(3)}
	}
	if n := in.n(8); n < len(d.Sequence) {
		d.Sequence[n].Port = 0
		d.OpenPorts = []knock.PortRange{{First: 1, Last: 3}, {First: 5, Last: uint16(5 + in.n(2))}}
	}
}

func (in *input) fuzzStep() knock.Step {
	n := in.n(8)
	if n >= 6 {
		return knock.Step{Proto: knock.UDP, Port: uint16(n - 5)}
	}
	return knock.Step{Proto: knock.TCP, Port: uint16(n + 1)}
}

// witness watches a tracker without knowing how it works.
type witness struct {
	t       *testing.T
	tracker *knock.Tracker
	twin    *knock.Tracker // that explains, and reports failures
	limit   int
	now     time.Time
	doors   []*knock.Door
	local   []netip.Addr
	reached map[attempt]*progress
	opened  map[attempt]time.Time // last, by source and door; by the zero Addr for all
	taken   map[segment]time.Time // when a segment that took a step was last seen
}

type attempt struct {
	src  netip.Addr
	door *knock.Door
}

type progress struct {
	stage int
	begun time.Time
	port  uint16 // that a step of any port was hit on
}

// segment is what tells a repeat: a hit reduced to four of its fields.
type segment struct {
	src              netip.Addr
	srcPort, dstPort uint16
	seq              uint32
}

func newWitness(t *testing.T, limit int) *witness {
	w := &witness{t: t, tracker: knock.NewTracker(limit), twin: knock.NewTracker(limit), limit: limit, now: start, local: conformance.Local,
		reached: map[attempt]*progress{}, opened: map[attempt]time.Time{}, taken: map[segment]time.Time{}}
	w.tracker.SetLocal(w.local)
	w.twin.SetLocal(w.local)
	w.twin.SetVerbose(true)
	w.twin.SetExplaining(true)
	return w
}

func (w *witness) step(in *input) {
	switch kind := in.n(32); {
	case kind == 31:
		w.doors = append(in.doors(), w.doors[:min(len(w.doors), in.n(3))]...)
		w.tracker.SetDoors(w.doors)
		w.twin.SetDoors(w.doors)
	case kind == 30:
		w.local = conformance.Local[:in.n(3)]
		w.tracker.SetLocal(w.local)
		w.twin.SetLocal(w.local)
	case kind == 29:
		for _, e := range w.tracker.Expire(w.now) {
			w.judge(e, knock.Hit{})
		}
	default:
		w.now = w.now.Add(time.Duration(kind/8) * time.Second)
		w.hit(in.hit())
	}
	if err := w.tracker.Check(); err != nil {
		w.t.Fatal(err)
	}
	if n := w.tracker.Stats().Attempts; n > w.limit {
		w.t.Fatalf("%d attempts, cap %d", n, w.limit)
	}
	if next, ok := w.tracker.Next(); ok != (w.tracker.Stats().Attempts > 0) || ok && next.Before(w.now) && len(w.tracker.Expire(w.now)) == 0 {
		w.t.Fatalf("next deadline %v (%v), now %v", next, ok, w.now)
	}
}

func (in *input) hit() knock.Hit {
	step := in.fuzzStep()
	h := knock.Hit{Src: netip.AddrFrom4([4]byte{10, 0, 0, byte(in.n(4))}), SrcPort: uint16(in.n(2)),
		Proto: step.Proto, DstPort: step.Port, Dst: conformance.Local[in.n(2)]}
	if in.n(4) == 0 {
		h.Dst = netip.AddrFrom4([4]byte{192, 0, 2, byte(in.n(3))})
	}
	if h.Proto == knock.TCP {
		h.Flags, h.Seq = knock.Flags(in.n(64)), uint32(in.n(200))
	}
	h.PayloadLen = in.n(4)
	return h
}

func (w *witness) hit(h knock.Hit) {
	seg := segment{h.Src, h.SrcPort, h.DstPort, h.Seq}
	seen, known := w.taken[seg]
	repeat := h.Proto == knock.TCP && known && w.now.Sub(seen) < knock.RepeatWindow
	repeats := w.tracker.Stats().Repeats
	spoiled := w.spoiled(h, repeat)
	took := false
	decided := w.tracker.Observe(h, w.now)
	w.explained(h, decided)
	for _, e := range decided {
		w.judge(e, h)
		took = took || e.Kind != knock.Expired
	}
	for at := range spoiled {
		if p := w.reached[at]; p == spoiled[at] {
			delete(w.reached, at)
		}
	}
	if took && repeat {
		w.t.Fatalf("a repeat took a step: %+v", h)
	}
	if h.Proto == knock.TCP && (took || w.tracker.Stats().Repeats > repeats) {
		w.taken[seg] = w.now
	}
}

// explained says whether a tracker that explains decides as one that does not,
// and says what it has decided.
func (w *witness) explained(h knock.Hit, decided []knock.Decision) {
	w.t.Helper()
	var want, got []string
	var same []knock.Decision
	for _, e := range w.twin.Observe(h, w.now) {
		if e.Kind != knock.Failed {
			same = append(same, e)
		}
		switch e.Kind {
		case knock.Stage:
			want = append(want, fmt.Sprint(e.Door.Name, " took ", e.Stage))
		case knock.Failed:
			want = append(want, fmt.Sprint(e.Door.Name, " ended ", e.Stage))
		case knock.Opened:
			want = append(want, fmt.Sprint(e.Door.Name, " opened"))
		}
	}
	// Expire is asked of one of them alone, and the other is late.
	if same = withoutExpired(same); !slices.Equal(withoutExpired(decided), same) {
		w.t.Fatalf("explaining decides %+v, else %+v", same, decided)
	}
	verdicts := w.twin.Verdicts()
	for i := range verdicts {
		v := &verdicts[i]
		switch v.Outcome {
		case knock.Took:
			got = append(got, fmt.Sprint(v.Door.Name, " took ", v.Stage))
			if v.Step != v.Stage {
				w.t.Fatalf("step %d at stage %d", v.Step, v.Stage)
			}
		case knock.Ended:
			got = append(got, fmt.Sprint(v.Door.Name, " ended ", v.Stage))
		}
		if v.Opens() {
			got = append(got, v.Door.Name+" opened")
		}
	}
	if len(verdicts) == 0 || !slices.Equal(want, got) {
		w.t.Fatalf("decided %q, explained %q by %+v", want, got, verdicts)
	}
}

func withoutExpired(all []knock.Decision) []knock.Decision {
	return slices.DeleteFunc(slices.Clone(all), func(d knock.Decision) bool { return d.Kind == knock.Expired })
}

// spoiled returns the attempts at strict doors that a hit has to end, by the
// words of the manual.
func (w *witness) spoiled(h knock.Hit, repeat bool) map[attempt]*progress {
	out := map[attempt]*progress{}
	for at, p := range w.reached {
		d := at.door
		if at.src != h.Src || !d.Strict || repeat || p.stage >= len(d.Sequence) || !w.fits(d, h) || w.cooling(at) {
			continue
		}
		flags := h.Proto == knock.UDP || h.Flags&d.Flags.Set == d.Flags.Set && h.Flags&d.Flags.Clear == 0
		ignored := false
		for _, i := range d.StrictIgnore {
			ignored = ignored || i.Proto == h.Proto && i.First <= h.DstPort && h.DstPort <= i.Last
		}
		latest := d.Sequence[p.stage-1]
		forgiven := d.ForgiveRepeats && latest.Proto == h.Proto && (latest.Port == h.DstPort || latest.Port == 0 && p.port == h.DstPort)
		if flags && !ignored && !forgiven && !stepOf(d, p.stage, h) {
			out[at] = p
		}
	}
	return out
}

// stepOf says whether a hit has the port and protocol of the n-th step, from 0.
func stepOf(d *knock.Door, n int, h knock.Hit) bool {
	s := d.Sequence[n]
	for _, r := range d.OpenPorts {
		if s.Port == 0 && r.First <= h.DstPort && h.DstPort <= r.Last {
			return s.Proto == h.Proto
		}
	}
	return s.Port == h.DstPort && s.Port != 0 && s.Proto == h.Proto
}

func (w *witness) cooling(at attempt) bool {
	if at.door.CooldownForAll {
		at.src = netip.Addr{}
	}
	opened, ok := w.opened[at]
	return ok && w.now.Sub(opened) < at.door.Cooldown
}

func (w *witness) fits(d *knock.Door, h knock.Hit) bool {
	if d.Target.IsValid() {
		return h.Dst == d.Target
	}
	for _, a := range w.local {
		if a == h.Dst {
			return true
		}
	}
	return false
}

// judge says whether a decision may be.
func (w *witness) judge(e knock.Decision, h knock.Hit) {
	w.t.Helper()
	at := attempt{e.Src, e.Door}
	p := w.reached[at]
	switch e.Kind {
	case knock.Stage:
		if e.Hit != h || e.Src != h.Src {
			w.t.Fatalf("a decision of another hit: %+v", e)
		}
		if e.Stage == 1 {
			p = &progress{begun: w.now}
			w.reached[at] = p
		}
		if p == nil || e.Stage != p.stage+1 || e.Stage > len(e.Door.Sequence) {
			w.t.Fatalf("stage %d after %+v", e.Stage, p)
		}
		p.stage = e.Stage
		if e.Stage > 1 && w.now.Sub(p.begun) >= e.Door.Timeout {
			w.t.Fatalf("stage %d %v after the first hit, timeout %v", e.Stage, w.now.Sub(p.begun), e.Door.Timeout)
		}
		w.judgeHit(e, h)
		if e.Door.Sequence[e.Stage-1].Port == 0 {
			p.port = h.DstPort
		}
	case knock.Opened:
		if p == nil || p.stage != len(e.Door.Sequence) || e.Stage != p.stage {
			w.t.Fatalf("opened at stage %+v of %d", p, len(e.Door.Sequence))
		}
		if e.Port != p.port {
			w.t.Fatalf("opened for port %d, named was %d", e.Port, p.port)
		}
		delete(w.reached, at)
		w.opened[at], w.opened[attempt{door: e.Door}] = w.now, w.now
	case knock.Expired:
		if p == nil || p.stage != e.Stage || e.Stage >= len(e.Door.Sequence) || w.now.Sub(p.begun) < e.Door.Timeout {
			w.t.Fatalf("expired at stage %d, was %+v", e.Stage, p)
		}
		delete(w.reached, at)
	default:
		w.t.Fatalf("a decision of no kind: %+v", e)
	}
}

// judgeHit says whether the hit is the door's step, by the door's own terms.
func (w *witness) judgeHit(e knock.Decision, h knock.Hit) {
	w.t.Helper()
	d := e.Door
	if !stepOf(d, e.Stage-1, h) {
		w.t.Fatalf("stage %d of %v by a hit of %d:%v", e.Stage, d.Sequence, h.DstPort, h.Proto)
	}
	if h.Proto == knock.TCP && (h.Flags&d.Flags.Set != d.Flags.Set || h.Flags&d.Flags.Clear != 0) {
		w.t.Fatalf("flags %v passed %+v", h.Flags, d.Flags)
	}
	if !w.fits(d, h) {
		w.t.Fatalf("destination %v passed target %v", h.Dst, d.Target)
	}
	if w.cooling(attempt{e.Src, d}) {
		w.t.Fatal("a step during the cooldown")
	}
	if h.PayloadLen < d.PacketLength.Min || d.PacketLength.Max > 0 && h.PayloadLen > d.PacketLength.Max {
		w.t.Fatalf("length %d passed %+v", h.PayloadLen, d.PacketLength)
	}
	for _, p := range d.Deny {
		if p.Contains(h.Src) {
			w.t.Fatalf("%v passed %v", h.Src, d.Deny)
		}
	}
	if len(d.Allow) > 0 && !d.Allow[0].Contains(h.Src) {
		w.t.Fatalf("%v passed %v", h.Src, d.Allow)
	}
	found := false
	for _, known := range w.doors {
		found = found || known == d
	}
	if !found {
		w.t.Fatal("a decision of a door that is gone")
	}
}
