package spa

import (
	"fmt"
	"testing"
)

// BenchmarkJunk is the cost of a packet that passes the cheap tests and belongs
// to nobody: doors with keys of their own, with and without HMAC.
func BenchmarkJunk(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		for _, hmac := range []Hash{SHA256, SHA512, SHA3_256, 0} {
			b.Run(fmt.Sprintf("doors=%d/hmac=%v", n, hmac), func(b *testing.B) {
				var doors []*Door
				for range n {
					doors = append(doors, wideDoor(NewClient("x", hmac)))
				}
				verifier := NewVerifier(doors, memory{})
				p := packet(mustSeal(b, access("10.1.2.3", "tcp/22"), NewClient("y", SHA256)), "192.0.2.1")
				b.ReportAllocs()
				for b.Loop() {
					if r, d := verifier.Examine(p, noon); r != nil || d.Outcome != Unknown {
						b.Fatal(outcome(d))
					}
				}
			})
		}
	}
}

// BenchmarkCheap is the cost of what fails the cheap tests.
func BenchmarkCheap(b *testing.B) {
	verifier := NewVerifier([]*Door{wideDoor(NewClient("x", SHA256))}, memory{})
	p := packet(mustSeal(b, access("10.1.2.3", "tcp/22"), NewClient("y", SHA256)), "192.0.2.1")
	p.Payload[100] = '='
	for b.Loop() {
		verifier.Examine(p, noon)
	}
}

// BenchmarkHonest is the time from a good packet to the request, without disk.
func BenchmarkHonest(b *testing.B) {
	c := NewClient("x", SHA256)
	verifier := NewVerifier([]*Door{wideDoor(c)}, memory{})
	p := packet(mustSeal(b, access("10.1.2.3", "tcp/22"), c), "192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		clear(verifier.known.packets)
		clear(verifier.once.(memory))
		if r, d := verifier.Examine(p, noon); r == nil {
			b.Fatal(outcome(d))
		}
	}
}

// BenchmarkReplay is the cost of a packet that was used, with many clients.
func BenchmarkReplay(b *testing.B) {
	verifier, clients := verifierOfMany(1000)
	p := packet(mustSeal(b, access("10.1.2.3", "tcp/22"), clients[999]), "192.0.2.1")
	verifier.Examine(p, noon)
	b.ReportAllocs()
	for b.Loop() {
		if _, d := verifier.Examine(p, noon); d.Outcome != Replay {
			b.Fatal(outcome(d))
		}
	}
}
