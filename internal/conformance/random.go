package conformance

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"knockd/internal/knock"
)

// Random makes a trace: doors over a small pool of ports and packets of a few
// sources that half know what to knock. Its packets lie on multiples of the
// unit; knockd 0.8 counts whole seconds.
func Random(rng *rand.Rand, unit time.Duration) *Trace {
	g := &generator{Rand: rng, unit: unit, time: time.Unix(1_700_000_000, 0).UTC()}
	g.pool = make([]uint16, 2+g.IntN(4))
	for i := range g.pool {
		g.pool[i] = uint16(1 + g.IntN(65535))
	}
	t := &Trace{}
	for i := range 1 + g.IntN(5) {
		t.Doors = append(t.Doors, g.door(fmt.Sprintf("door%d", i)))
	}
	t.Config = ConfigText(t.Doors)
	g.stages = map[place]int{}
	for range 60 + g.IntN(240) {
		t.Packets = append(t.Packets, g.packet(t.Doors))
	}
	return t
}

type generator struct {
	*rand.Rand
	unit   time.Duration
	time   time.Time
	pool   []uint16
	stages map[place]int // how far a source believes it is
}

type place struct {
	src  netip.Addr
	door *knock.Door
}

var (
	routed  = netip.MustParseAddr("192.0.2.77")
	sources = []netip.Addr{
		netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3"),
		netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"),
	}
	nobodys = []netip.Addr{netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("2001:db8::9")}
)

func (g *generator) door(name string) *knock.Door {
	d := &knock.Door{Name: name, N: 1, Timeout: time.Duration(1+g.IntN(7)) * time.Second}
	steps := 1 + g.IntN(4)
	if g.IntN(20) == 0 {
		steps = 1 + g.IntN(knock.MaxSteps)
	}
	for range steps {
		d.Sequence = append(d.Sequence, g.step())
	}
	if g.IntN(4) > 0 {
		for range 1 + g.IntN(3) {
			d.Flags = d.Flags.Add(1<<g.IntN(6), g.IntN(3) > 0)
		}
	}
	if g.IntN(5) == 0 {
		d.Target = routed
	}
	return d
}

func (g *generator) step() knock.Step {
	s := knock.Step{Proto: knock.TCP, Port: g.pool[g.IntN(len(g.pool))]}
	if g.IntN(3) == 0 {
		s.Proto = knock.UDP
	}
	return s
}

func (g *generator) packet(doors []*knock.Door) Packet {
	if g.IntN(3) == 0 {
		g.time = g.time.Add(time.Duration(1+g.Int64N(int64(4*time.Second/g.unit))) * g.unit)
	}
	d := doors[g.IntN(len(doors))]
	h := knock.Hit{Src: sources[g.IntN(len(sources))]}
	h.Dst = g.destination(d, h.Src)
	at := place{h.Src, d}
	step := d.Sequence[g.stages[at]%len(d.Sequence)]
	g.stages[at]++
	if g.IntN(4) == 0 {
		step = g.step()
		g.stages[at] = 0
	}
	h.Proto, h.DstPort = step.Proto, step.Port
	if g.IntN(10) == 0 {
		h.DstPort = uint16(1 + g.IntN(65535))
	}
	h.SrcPort = uint16(1024 + g.IntN(60000))
	if h.Proto == knock.UDP {
		h.PayloadLen = g.IntN(3)
		return Packet{h, g.time}
	}
	h.Seq = g.Uint32()
	if h.Flags = d.Flags.Set | knock.Flags(g.IntN(64))&^d.Flags.Clear; g.IntN(6) == 0 {
		h.Flags = knock.Flags(g.IntN(64))
	}
	return Packet{h, g.time}
}

func (g *generator) destination(d *knock.Door, src netip.Addr) netip.Addr {
	family := 1
	if src.Is4() {
		family = 0
	}
	switch n := g.IntN(12); {
	case n == 0:
		return nobodys[family]
	case src.Is4() && (n == 1 || d.Target.IsValid()):
		return routed
	}
	return Local[family]
}

// ConfigText writes doors as a knockd.conf, without commands.
func ConfigText(doors []*knock.Door) string {
	var b strings.Builder
	b.WriteString("[options]\n")
	for _, d := range doors {
		var steps []string
		for _, s := range d.Sequence {
			steps = append(steps, s.String())
		}
		fmt.Fprintf(&b, "[%s]\n\tsequence = %s\n\tseq_timeout = %d\n",
			d.Name, strings.Join(steps, ","), int(d.Timeout.Seconds()))
		if flags := flagText(d.Flags); flags != "" {
			fmt.Fprintf(&b, "\ttcpflags = %s\n", flags)
		}
		if d.Target.IsValid() {
			fmt.Fprintf(&b, "\ttarget = %s\n", d.Target)
		}
	}
	return b.String()
}

func flagText(m knock.FlagMatch) string {
	var names []string
	for f := knock.FIN; f <= knock.URG; f <<= 1 {
		switch {
		case m.Set&f != 0:
			names = append(names, f.String())
		case m.Clear&f != 0:
			names = append(names, "!"+f.String())
		}
	}
	return strings.Join(names, ",")
}
