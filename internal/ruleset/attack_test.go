package ruleset

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// scan sends a SYN to every port in the given order, from the client.
func (l *lab) scan(ports []int) {
	h := knock.Hit{Src: netip.MustParseAddr(nettest.Client4), Dst: netip.MustParseAddr(nettest.Server4), Proto: knock.TCP, Flags: knock.SYN}
	for i, p := range ports {
		l.used++
		h.DstPort, h.SrcPort, h.Seq = uint16(p), uint16(2000+l.used%60000), l.used
		l.send(h)
		if i%50 == 49 {
			time.Sleep(time.Millisecond)
		}
	}
}

// TestScans: no full scan opens a strict door; an ascending one opens a door
// that is neither strict nor well chosen, which shows that the scan scans.
func TestScans(t *testing.T) {
	const text = "[strict]\nsequence=7000,9000,8000\nseq_timeout=60\nstrict=yes\nopen=tcp/22\ncmd_timeout=600\n" +
		"[ascending]\nsequence=17000,18000,19000\nseq_timeout=60\nopen=tcp/23\ncmd_timeout=600\n"
	random := 1
	if long() {
		random = 10
	}
	start := nettest.Seed(t)
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		r := rand.New(rand.NewPCG(start, 0)) // of its own: they run side by side
		l.pin()
		l.server.EchoTCP(nettest.Server4 + ":22")
		l.server.EchoTCP(nettest.Server4 + ":23")
		b.load(l, doorsOf(t, text), Options{})
		ports := make([]int, 65535)
		for i := range ports {
			ports[i] = i + 1
		}
		l.scan(ports)
		l.expect(t, nettest.Server4, 22, false, "strict, ascending")
		l.expect(t, nettest.Server4, 23, true, "not strict, ascending")
		for i := range ports {
			ports[i] = 65535 - i
		}
		l.scan(ports)
		l.expect(t, nettest.Server4, 22, false, "strict, descending")
		for range random {
			for i, p := range rand.New(rand.NewPCG(r.Uint64(), 1)).Perm(65535) {
				ports[i] = p + 1
			}
			l.scan(ports)
			l.expect(t, nettest.Server4, 22, false, "strict, in random order")
		}
	})
}

// TestFloodOfFirstKnocks: 100,000 addresses begin; nobody gets in meanwhile
// who has not begun before, and soon after everybody can again.
func TestFloodOfFirstKnocks(t *testing.T) {
	const text = "[ssh]\nsequence=7000,7001,7002,7003\nseq_timeout=5\nopen=tcp/22\ncmd_timeout=600\n"
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		l.pin()
		l.server.EchoTCP(nettest.Server4 + ":22")
		b.load(l, doorsOf(t, text), Options{})
		l.server.Run("ip", "route", "add", "blackhole", "10.128.0.0/9")
		h := knock.Hit{Dst: netip.MustParseAddr(nettest.Server4), DstPort: 7000, Proto: knock.TCP, Flags: knock.SYN}
		honest := map[int]string{70000: "7000", 78000: "7001", 86000: "7002", 94000: "7003"}
		start := time.Now()
		for i := range 100000 {
			h.Src = netip.AddrFrom4([4]byte{10, byte(128 + i>>16), byte(i >> 8), byte(i)})
			h.SrcPort, h.Seq = uint16(2000+i%60000), uint32(i)
			l.send(h)
			if port := honest[i]; port != "" {
				l.knock(nettest.Server4, port)
			}
			if i%50 == 49 && strings.HasPrefix(b.name, "iptables") {
				time.Sleep(100 * time.Microsecond)
			}
		}
		flood := time.Since(start)
		during := l.reaches(nettest.Server4, 22)
		end := time.Now()
		for !l.reaches(nettest.Server4, 22) && time.Since(end) < 30*time.Second {
			l.knock(nettest.Server4, "7000", "7001", "7002", "7003")
			time.Sleep(100 * time.Millisecond)
		}
		if during {
			t.Error("somebody got in during the flood: it floods nothing")
		}
		t.Logf("flood of 100,000 in %v; a knock meanwhile opens: %v; open %v after its end", flood.Round(time.Millisecond), during, time.Since(end).Round(100*time.Millisecond))
		l.expect(t, nettest.Server4, 22, true, "after the flood")
	})
}

// TestFloodAtAnotherDoor: of a hundred doors the first is flooded with first
// knocks, 5,000 a second from 20,000 addresses, and five knock at the fiftieth
// meanwhile: it opens for each.
func TestFloodAtAnotherDoor(t *testing.T) {
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		nettest.NeedRealRoot(t) // who alone may send so many rules at once
		l.pin()
		doors := testDoors(100)
		door := doors[50]
		door.Timeout = 30 * time.Second // the machine may be busy
		b.load(l, doors, Options{})
		l.listen()
		f := l.newFlood(doors[0].Sequence[0].Port)
		f.many = 20000
		start := time.Now()
		for i := range 25000 {
			f.send()
			if i%50 == 49 {
				time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / 5000)))
			}
			if i%1500 == 1499 && i/1500 < 15 {
				src, step := fmt.Sprintf("10.99.0.%d", 1+i/1500/3), door.Sequence[i/1500%3]
				l.knockFrom(src, nettest.Server4, fmt.Sprint(step.Port))
			}
		}
		opened := 0
		for src, lines := range l.logged(15, door.Name) {
			if got := strings.Join(lines, "; "); strings.HasSuffix(got, Opened) {
				opened++
			} else {
				t.Errorf("%v: %s", src, got)
			}
		}
		t.Logf("%d of 5 opened; a flood of 25,000 in %v", opened, time.Since(start).Round(time.Millisecond))
		if opened != 5 {
			t.Errorf("%d of 5 opened", opened)
		}
	})
}

// TestFullTable: while a flood of first knocks keeps the table full that says
// who has knocked of late nobody new gets in, and when it is over everybody
// can again. In the long form only: it takes a million packets.
func TestFullTable(t *testing.T) {
	if !long() {
		t.Skip("set KNOCKD_LONG=1")
	}
	nettest.NeedRealRoot(t)
	for _, b := range backEnds()[1:] {
		t.Run(b.name, func(t *testing.T) {
			l := newLab(t)
			l.pin()
			doors := testDoors(fewDoors + 1)
			door := doors[5]
			b.load(l, doors, Options{})
			l.listen()
			f := l.newFlood(doors[0].Sequence[0].Port)
			for range 2 * recencySize {
				f.send()
			}
			knock := func(src string) bool {
				for _, s := range door.Sequence {
					l.knockFrom(src, nettest.Server4, fmt.Sprint(s.Port))
				}
				time.Sleep(200 * time.Millisecond)
				lines, _ := l.gathered(door.Name)
				return strings.Contains(fmt.Sprint(lines[netip.MustParseAddr(src)]), Opened)
			}
			if knock("10.99.1.1") {
				t.Error("somebody got in: the table was not full")
			}
			end := time.Now()
			for i := 0; !knock(fmt.Sprintf("10.99.2.%d", i)); i++ {
				if time.Since(end) > time.Minute {
					t.Fatal("nobody gets in a minute after the flood")
				}
			}
			t.Logf("open %v after the flood", time.Since(end).Round(100*time.Millisecond))
		})
	}
}

// TestLastPortAlone: after the door has shut, its last port opens nothing.
func TestLastPortAlone(t *testing.T) {
	const text = "[ssh]\nsequence=7000,7001,7002,7003\nopen=tcp/22\ncmd_timeout=2\n"
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		l.server.EchoTCP(nettest.Server4 + ":22")
		b.load(l, doorsOf(t, text), Options{})
		l.knock(nettest.Server4, "7000", "7001", "7002", "7003")
		l.expect(t, nettest.Server4, 22, true, "open")
		time.Sleep(3 * time.Second)
		l.expect(t, nettest.Server4, 22, false, "shut")
		for range 3 {
			l.knock(nettest.Server4, "7003")
			l.expect(t, nettest.Server4, 22, false, "the last port alone")
		}
	})
}

// cost returns the least time that one packet which is no knock takes from
// the sender's system call to the end of the receiver's work.
func (l *lab) cost() time.Duration {
	frame := l.frame(knock.Hit{Src: netip.MustParseAddr(nettest.Client4), Dst: netip.MustParseAddr(nettest.Server4), Proto: knock.TCP, Flags: knock.RST, SrcPort: 1000, DstPort: 12345})
	to := &syscall.SockaddrLinklayer{Ifindex: l.ifIndex, Protocol: 8}
	least := time.Hour
	for range 100 {
		start := time.Now()
		for range 1000 {
			if err := syscall.Sendto(l.socket, frame, 0, to); err != nil {
				l.t.Fatal(err)
			}
		}
		least = min(least, time.Since(start)/1000)
	}
	return least
}

// TestCost measures what packets that are no knock cost, in the long form
// only: a busy machine says nothing.
func TestCost(t *testing.T) {
	if !long() {
		t.Skip("set KNOCKD_LONG=1 on a quiet machine")
	}
	for _, b := range backEnds() {
		t.Run(b.name, func(t *testing.T) {
			l := newLab(t)
			l.pin()
			doors := testDoors(1000)
			empty := l.cost()
			b.load(l, doors[:1], Options{})
			one := l.cost()
			b.load(l, doors, Options{})
			all := l.cost()
			t.Logf("a packet that is no knock: empty ruleset %v, 1 door %v, 1,000 doors %v", empty, one, all)
			if all > 2*one {
				t.Errorf("1,000 doors cost more than twice what one costs")
			}
		})
	}
}

// testDoors makes doors with ports of their own.
func testDoors(n int) []*Door {
	var out []*Door
	for i := range n {
		d := &Door{CmdTimeout: 30 * time.Second, Open: []knock.PortRange{{Proto: knock.TCP, First: uint16(10000 + 9*i), Last: uint16(10000 + 9*i)}}}
		d.Name = "door" + strings.Repeat("x", i%3) + "." + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		d.Timeout = 10 * time.Second
		d.Flags.Set = knock.SYN
		for k := range 3 {
			d.Sequence = append(d.Sequence, knock.Step{Proto: knock.TCP, Port: uint16(20000 + 15*i + (k*2)%3*5)})
		}
		out = append(out, d)
	}
	return out
}
