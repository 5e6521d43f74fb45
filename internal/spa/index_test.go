package spa

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"knockd/internal/knock"
)

// TestIndex: a packet is tried at the doors that accept it each for itself, and
// costs each of their keys once.
func TestIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	networks := [][]string{{}, {"192.0.2.0/24"}, {"192.0.2.0/25", "2001:db8::/32"}, {"198.51.100.1/32"}}
	some := func() []string { return networks[r.IntN(len(networks))] }
	var doors []*Door
	for i := range 300 {
		d := wideDoor(testClient(fmt.Sprint("a", i/2)), testClient(fmt.Sprint("b", i)))
		d.Listen = ListenOn(uint16(4000+r.IntN(3)), 4003)
		d.Allow, d.Deny, d.Destination = prefixes(some()...), prefixes(some()...), prefixes(some()...)
		d.TCP, d.HTTP, d.IPv6 = r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0
		doors = append(doors, d)
	}
	verifier := NewVerifier(doors, memory{})
	accepted := 0
	for range 5000 {
		p := junkOf(204, ip4(0), 1)
		p.Src = packet(nil, []string{"192.0.2.1", "192.0.2.200", "198.51.100.1", "203.0.113.1", "2001:db8::1"}[r.IntN(5)]).Src
		p.DstPort, p.Local = uint16(3999+r.IntN(6)), r.IntN(2) == 0
		if r.IntN(2) == 0 {
			p.Dst = packet(nil, "192.0.2.7").Src
		}
		if r.IntN(2) == 0 {
			p.Proto, p.Flags = knock.TCP, []knock.Flags{knock.SYN, knock.ACK, knock.RST}[r.IntN(3)]
		}
		c, more := verifier.look(p, noon)
		if !more {
			t.Fatal("not to be tried")
		}
		var want []int
		keys := map[string]bool{}
		for i, d := range doors {
			if d.accepts(c.Packet, c.via) {
				want = append(want, i)
				keys[d.Clients[0].Name], keys[d.Clients[1].Name] = true, true
			}
		}
		accepted += len(want)
		if a := verifier.acceptors(&c); !slices.Equal(a.doors, want) || a.trials != len(keys) {
			t.Fatalf("%+v: %v with %d keys, want %v with %d", c.Hit, a.doors, a.trials, want, len(keys))
		}
		if len(verifier.doorIndex.kept) > maxKept {
			t.Fatalf("%d combinations kept", len(verifier.doorIndex.kept))
		}
	}
	if accepted < 10_000 {
		t.Errorf("accepted %d times: nothing shown", accepted)
	}
}

// BenchmarkDoors is the cost of a batch of junk at 1,000 doors of one client each.
func BenchmarkDoors(b *testing.B) {
	var doors []*Door
	for i := range 1000 {
		doors = append(doors, wideDoor(testClient(fmt.Sprint(i))))
	}
	verifier := NewVerifier(doors, memory{})
	var batch []Packet
	for i := range 256 {
		batch = append(batch, junkOf(204, ip4(i), 1))
	}
	for b.Loop() {
		verifier.Begin(len(batch), false)
		verifier.ExamineAll(batch, noon, func(*Packet, *Request, Verdict) {})
	}
}
