package spa

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"knockd/internal/knock"
)

// junkOf returns a packet of so many octets that no key has made, from an address
// and a port.
func junkOf(octets int, src netip.Addr, port uint16) Packet {
	p := packet([]byte("9"+strings.Repeat("A", octets-1)), "192.0.2.1")
	p.Src, p.SrcPort = src, port
	return p
}

// ip4 and ip6 are addresses of strangers, each of another network.
func ip4(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 11<<24+uint32(i))
	return netip.AddrFrom4(b)
}

func ip6(i int) netip.Addr {
	b := netip.MustParseAddr("2001:db8::1").As16()
	binary.BigEndian.PutUint16(b[6:], uint16(i))
	return netip.AddrFrom16(b)
}

// TestBegin: what is dear depends on the number of clients, and on what earlier
// batches have left.
func TestBegin(t *testing.T) {
	for _, c := range []struct {
		clients, packets int
		want             string // for a flood of batches: . is cheap, ! dear
	}{
		{1, 256, "....."},
		{10, 256, "....."},
		{100, 80, ".!!!!"},
		{100, 20, "....."},
		{1000, 10, ".!!!!"},
		{1000, 11, "!!!!!"},
		{1000, 5, "..!!!"},
		{1000, 1, "....."},
	} {
		verifier, _ := verifierOfMany(c.clients)
		got := ""
		n := 0
		for range 5 {
			var batch []Packet
			for range c.packets {
				batch = append(batch, junkOf(1500, ip4(n), 1))
				n++
			}
			if verifier.Begin(len(batch), false) {
				got += "!"
				verifier.ExamineAll(batch, noon, func(*Packet, *Request, Verdict) {})
				continue
			}
			got += "."
			for _, p := range batch {
				verifier.Examine(p, noon)
			}
		}
		if got != c.want {
			t.Errorf("%d clients, %d packets: %s, want %s", c.clients, c.packets, got, c.want)
		}
	}
}

// flooded sends batches of junk through a verifier, every fourth with one honest
// message at some place, and returns how many of these are new, and the most trials that a
// batch has cost.
func flooded(t *testing.T, verifier *Verifier, batches, size int, junk func(i int) Packet, honest func(n int) Packet) (opened, most int) {
	t.Helper()
	for n := range batches {
		var batch []Packet
		for i := range size {
			batch = append(batch, junk(n*size+i))
		}
		if n%4 == 3 {
			batch = slices.Insert(batch, (n*37+5)%size, honest(n/4))
		}
		if !verifier.Begin(len(batch), false) {
			t.Fatal("not dear")
		}
		before, answered := verifier.left, 0
		dropped := verifier.ExamineAll(batch, noon, func(_ *Packet, r *Request, d Verdict) {
			switch {
			case r != nil:
				opened++
			case d.Outcome == Untried:
				return
			case d.Outcome != Unknown:
				t.Fatal(outcome(d))
			}
			answered++
		})
		if answered+dropped != len(batch) {
			t.Fatalf("%d answered and %d dropped of %d", answered, dropped, len(batch))
		}
		most = max(most, before-verifier.left)
	}
	return opened, most
}

// TestFair: whose message is tried in a flood of junk at a door with 1,000 clients.
func TestFair(t *testing.T) {
	const batches = 80
	for _, c := range []struct {
		name string
		junk func(i int) Packet
		src  string // of the honest messages
		want [2]int // of them, at least and at most
		dear bool   // a packet costs more than a batch may
	}{
		{"one source", func(i int) Packet { return junkOf(1400, ip4(0), 1) }, "192.0.2.1", [2]int{20, 20}, false},
		{"one source, dear keys", func(i int) Packet { return junkOf(1400, ip4(0), 1) }, "192.0.2.1", [2]int{20, 20}, true},
		{"one source, short junk, many ports", func(i int) Packet { return junkOf(204, ip4(0), uint16(i)) }, "192.0.2.1", [2]int{20, 20}, false},
		{"one network of IPv6", func(i int) Packet {
			a := ip6(0).As16()
			binary.BigEndian.PutUint32(a[12:], uint32(i))
			return junkOf(204, netip.AddrFrom16(a), 1)
		}, "192.0.2.1", [2]int{20, 20}, false},
		{"the honest one's source, one port", func(i int) Packet { return junkOf(204, netip.MustParseAddr("192.0.2.1"), 1) }, "192.0.2.1", [2]int{20, 20}, false},
		{"64 networks of IPv6", func(i int) Packet { return junkOf(204, ip6(i%64), 1) }, "192.0.2.1", [2]int{6, 20}, false},
		{"any sources, long junk", func(i int) Packet { return junkOf(1400, ip4(i), 1) }, "192.0.2.1", [2]int{20, 20}, false},
		{"any sources, short junk", func(i int) Packet { return junkOf(204, ip4(i), 1) }, "192.0.2.1", [2]int{0, 8}, false},
	} {
		verifier, clients := verifierOfMany(1000)
		if c.dear {
			for i := range clients[100:900] {
				clients[100+i].HMAC = SHA3_512
			}
			verifier = NewVerifier([]*Door{wideDoor(clients...)}, memory{})
		}
		verifier.doors[0].IPv6 = true
		opened, most := flooded(t, verifier, batches, 160, c.junk, func(n int) Packet {
			m := access("10.1.2.3", "tcp/22")
			m.User = fmt.Sprint(n)
			p := packet(mustSeal(t, m, clients[999-n]), c.src)
			p.SrcPort = 40000
			return p
		})
		if opened < c.want[0] || opened > c.want[1] || most > savedTrials {
			t.Errorf("%s: %d of %d honest messages taken, want %v; up to %d trials", c.name, opened, batches/4, c.want, most)
		}
	}
}

// TestBehind: while packets come faster than they are read, less is spent on
// them.
func TestBehind(t *testing.T) {
	verifier, _ := verifierOfMany(1000)
	spend := func(packets int) (trials int) {
		var batch []Packet
		for i := range packets {
			batch = append(batch, junkOf(204, ip4(i), 1))
		}
		if !verifier.Begin(len(batch), packets == 256) {
			t.Fatal("not dear")
		}
		before := verifier.left
		verifier.ExamineAll(batch, noon, func(*Packet, *Request, Verdict) {})
		return before - verifier.left
	}
	sum := func(batches, packets int) (trials int) {
		for range batches {
			trials += spend(packets)
		}
		return trials
	}
	if n := sum(maxFull, 256); n < savedTrials || n > savedTrials+maxFull*batchTrials {
		t.Errorf("%d trials at first", n)
	}
	if n := sum(100, 256); n < 100*behindTrials-1000 || n > 100*behindTrials+4000 {
		t.Errorf("%d trials behind", n)
	}
	if n := sum(100, 200); n < 100*batchTrials-1000 || n > 100*batchTrials+4000 {
		t.Errorf("%d trials when there are fewer again", n)
	}
	verifier.left = -10 * savedTrials
	if n := spend(2); n != 0 {
		t.Errorf("%d trials in debt", n)
	}
}

// dearVerifier is one whose packets cost more than a batch may.
func dearVerifier() *Verifier {
	var clients []Client
	for i := range 1000 {
		c := testClient(fmt.Sprint(i))
		c.HMAC = SHA3_512
		clients = append(clients, c)
	}
	return NewVerifier([]*Door{wideDoor(clients...)}, memory{})
}

// TestAlone: packets that come one by one are all looked at, whatever that costs,
// but not those between the batches of a flood.
func TestAlone(t *testing.T) {
	var verifier *Verifier
	batch := func(packets, first int) (dropped int) {
		var batch []Packet
		for i := range packets {
			batch = append(batch, junkOf(1400, ip4(first+i), 1))
		}
		if !verifier.Begin(len(batch), false) {
			for _, p := range batch {
				verifier.Examine(p, noon)
			}
			return 0
		}
		return verifier.ExamineAll(batch, noon, func(*Packet, *Request, Verdict) {})
	}
	verifier = dearVerifier()
	for i := range 100 {
		if batch(1, 0) > 0 {
			t.Fatalf("packet %d dropped", i)
		}
	}
	for name, sources := range map[string]int{"the same sources": 0, "any sources": 1000} {
		verifier = dearVerifier()
		tried := 0
		for i := range 100 {
			tried += 101 - batch(1, i*sources) - batch(100, i*sources+1)
		}
		if limit := (savedTrials+200*batchTrials)/18000 + 2; tried > limit {
			t.Errorf("%s: %d packets tried in a flood, more than %d", name, tried, limit)
		}
		if batch(1, 0)+batch(1, 0)+batch(1, 0) > 1 {
			t.Errorf("%s: dropped alone after it", name)
		}
	}
}

// TestNobodysTurn: packets that no door accepts take nobody's turn, and are not
// counted as dropped.
func TestNobodysTurn(t *testing.T) {
	verifier, clients := verifierOfMany(1000)
	unheard := junkOf(204, ip4(0), 1)
	unheard.DstPort++
	batch := append(slices.Repeat([]Packet{unheard}, 100), packet(mustSeal(t, access("10.1.2.3", "tcp/22"), clients[999]), "192.0.2.1"), junkOf(204, ip4(1), 1))
	verifier.Begin(len(batch), true)
	verifier.left = 1
	taken := 0
	dropped := verifier.ExamineAll(batch, noon, func(_ *Packet, r *Request, d Verdict) {
		if r != nil {
			taken++
		} else if d.Outcome != Junk && d.Outcome != Untried {
			t.Error(outcome(d))
		}
	})
	if taken != 1 || dropped != 1 {
		t.Errorf("%d taken and %d dropped", taken, dropped)
	}
}

// TestFairDoors: junk at one door keeps no message from another, be its
// keys fewer or more.
func TestFairDoors(t *testing.T) {
	for _, c := range []struct{ flooded, other int }{{1000, 1}, {100, 1000}, {1000, 1000}} {
		a, b := wideDoor(), wideDoor()
		for i := range c.flooded {
			a.Clients = append(a.Clients, testClient(fmt.Sprint("a", i)))
		}
		for i := range c.other {
			b.Clients = append(b.Clients, testClient(fmt.Sprint("b", i)))
		}
		b.Listen = ListenOn(4000, 4000)
		verifier := NewVerifier([]*Door{a, b}, memory{})
		opened, _ := flooded(t, verifier, 40, 250, func(i int) Packet { return junkOf(204, ip4(i), 1) }, func(n int) Packet {
			m := access("10.1.2.3", "tcp/22")
			m.User = fmt.Sprint(n)
			p := packet(mustSeal(t, m, b.Clients[0]), "192.0.2.1")
			p.DstPort = 4000
			return p
		})
		if opened != 10 {
			t.Errorf("%+v clients: %d of 10 messages taken", c, opened)
		}
	}
}

// TestSameKeys: doors with the same keys cost no more than one of them.
func TestSameKeys(t *testing.T) {
	verifier, _ := verifierOfMany(100)
	other := *verifier.doors[0]
	other.Deny = prefixes("198.51.100.0/24")
	verifier = NewVerifier([]*Door{verifier.doors[0], &other, wideDoor(testClient("x"))}, memory{})
	for src, want := range map[string]int{"192.0.2.1": 101, "198.51.100.1": 101, "192.0.2.2": 101} {
		c, _ := verifier.look(packet(junkOf(204, ip4(0), 1).Payload, src), noon)
		if w := verifier.toWait(c); w.cost != want || w.door != 0 {
			t.Errorf("%s: %+v", src, w.cost)
		}
	}
}

// TestProxiedSource: behind a trusted proxy the one that it names pays.
func TestProxiedSource(t *testing.T) {
	door := wideDoor(testClient("a"))
	door.HTTP, door.Listen, door.Proxies = true, ListenOn(80, 80), prefixes("192.0.2.1/32")
	verifier := NewVerifier([]*Door{door}, memory{})
	for src, want := range map[string]string{"192.0.2.1": "198.51.100.7", "192.0.2.2": "192.0.2.2"} {
		p := packet([]byte("GET /"+string(junkOf(204, ip4(0), 1).Payload)+" HTTP/1.0\r\nUser-Agent: Fwknop/2.6.10\r\nX-Forwarded-For: 198.51.100.7\r\n"), src)
		p.Proto, p.DstPort, p.Flags = knock.TCP, 80, knock.ACK|knock.PSH
		c, more := verifier.look(p, noon)
		if w := verifier.toWait(c); !more || w.source.String() != want {
			t.Errorf("%s: %v pays, want %s", src, w.source, want)
		}
	}
}

// TestSameDecisions: the same packets lead to the same decisions in the same
// order.
func TestSameDecisions(t *testing.T) {
	var all [3]string
	for n := range all {
		verifier, clients := verifierOfMany(1000)
		var said strings.Builder
		for b := range 100 {
			var batch []Packet
			for i := range 100 {
				batch = append(batch, junkOf(200+7*i, ip4((b*31+i*i)%500), uint16(i%9)))
			}
			m := access("10.1.2.3", "tcp/22")
			m.User = fmt.Sprint(b)
			sealed := mustSeal(t, m, clients[b])
			batch[b%50] = packet(sealed, "192.0.2.1")
			verifier.Begin(len(batch), false)
			dropped := verifier.ExamineAll(batch, noon, func(_ *Packet, r *Request, d Verdict) {
				fmt.Fprintln(&said, r != nil, d.Src, outcome(d))
			})
			fmt.Fprintln(&said, dropped)
		}
		all[n] = said.String()
	}
	if all[0] != all[1] || all[1] != all[2] {
		t.Error("not the same")
	}
}

// TestVainBounded: no number of sources makes the table of them larger; who sends
// something of use pays no more, and who sends nothing of use does not get away.
func TestVainBounded(t *testing.T) {
	b := newBudget(nil)
	for i := range 10 * maxSources {
		b.charge(ip4(i), 1000, false)
		b.charge(ip6(1), 1000, false)
		if len(b.vain) > maxSources {
			t.Fatalf("%d sources", len(b.vain))
		}
	}
	if b.vain[ip6(1)] < 100_000 {
		t.Errorf("the worst has %d", b.vain[ip6(1)])
	}
	before := b.vain[ip6(1)]
	if b.charge(ip6(1), 0, false); b.vain[ip6(1)] != before {
		t.Error("forgiven for nothing")
	}
	if b.charge(ip6(1), 10, true); b.vain[ip6(1)] != 0 {
		t.Error("not forgiven")
	}
}

// BenchmarkDear is the cost of a batch of junk at a door with 1,000 clients.
func BenchmarkDear(b *testing.B) {
	for _, octets := range []int{204, 1400} {
		b.Run(fmt.Sprintf("octets=%d", octets), func(b *testing.B) {
			verifier, _ := verifierOfMany(1000)
			var batch []Packet
			for i := range 256 {
				batch = append(batch, junkOf(octets, ip4(i), 1))
			}
			said := 0
			b.ReportAllocs()
			for b.Loop() {
				verifier.Begin(len(batch), false)
				verifier.ExamineAll(batch, noon, func(_ *Packet, _ *Request, d Verdict) {
					if d.Outcome != Untried {
						said++
					}
				})
			}
			b.ReportMetric(float64(said)/float64(b.N), "packets/op")
		})
	}
}
