package knock_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"knockd/internal/conformance"
	"knockd/internal/knock"
)

// crowd returns a tracker with n live attempts, each of another source.
func crowd(tb testing.TB, n int) *knock.Tracker {
	tracker := knock.NewTracker(n)
	tracker.SetLocal(conformance.Local)
	tracker.SetDoors([]*knock.Door{{
		Name:     "ssh",
		Sequence: []knock.Step{{Proto: knock.TCP, Port: 1}, {Proto: knock.TCP, Port: 2}, {Proto: knock.TCP, Port: 3}},
		Timeout:  time.Hour,
		Flags:    knock.FlagMatch{Set: knock.SYN},
	}, {
		Name: "fin", Sequence: []knock.Step{{Proto: knock.TCP, Port: 2}, {Proto: knock.UDP, Port: 2}},
		Timeout: time.Hour, Flags: knock.FlagMatch{Set: knock.FIN, Clear: knock.SYN},
	}})
	for i := range n {
		tracker.Observe(first(uint32(i)), start)
	}
	if got := tracker.Stats().Attempts; got != n {
		tb.Fatalf("%d attempts, want %d", got, n)
	}
	return tracker
}

// first is the first knock of the i-th source. Sources are numbered so that
// neighbours are far apart.
func first(i uint32) knock.Hit {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], i*2654435761)
	return knock.Hit{Src: netip.AddrFrom4(b), Dst: conformance.Local[0], SrcPort: uint16(i),
		DstPort: 1, Proto: knock.TCP, Flags: knock.SYN, Seq: i}
}

func BenchmarkTracker(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000, 1_000_000} {
		tracker := crowd(b, n)
		// The same hits in every round, so that only the tracker is measured.
		run := func(name string, hit func(i uint32) knock.Hit) {
			b.Run(fmt.Sprintf("%s/attempts=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					tracker.Observe(hit(uint32(i)), start)
				}
			})
		}
		run("nobodys", func(i uint32) knock.Hit {
			h := first(i)
			h.DstPort = 99
			return h
		})
		// The next step of nobody: a table look-up that finds nothing.
		run("stranger", func(i uint32) knock.Hit {
			h := first(i + 1<<31)
			h.DstPort = 2
			return h
		})
		// One of the sources, with a segment that its attempt lets pass.
		run("patient", func(i uint32) knock.Hit {
			h := first(i * 7919 % uint32(n))
			h.DstPort, h.Flags, h.Seq = 2, knock.FIN, i
			return h
		})
		// Ever new sources in a full table: each hit evicts and starts.
		run("flood", func(i uint32) knock.Hit { return first(uint32(n) + i) })
	}
}

// BenchmarkStrict is what a strict door costs: SYNs to random ports, from
// strangers and from sources in the middle of an attempt at another door.
func BenchmarkStrict(b *testing.B) {
	for _, n := range []int{10, 1_000_000} {
		tracker := knock.NewTracker(n)
		tracker.SetLocal(conformance.Local)
		tracker.SetDoors([]*knock.Door{{
			Name: "ssh", Sequence: []knock.Step{{Proto: knock.TCP, Port: 1}, {Proto: knock.UDP, Port: 2}},
			Timeout: time.Hour,
		}, {
			Name: "strict", Sequence: []knock.Step{{Proto: knock.TCP, Port: 3}, {Proto: knock.TCP, Port: 5}},
			Timeout: time.Hour, Flags: knock.FlagMatch{Set: knock.SYN, Clear: knock.ACK}, Strict: true,
		}})
		for i := range n {
			tracker.Observe(first(uint32(i)), start)
		}
		for name, source := range map[string]func(i uint32) uint32{
			"stranger": func(i uint32) uint32 { return i + 1<<31 },
			"patient":  func(i uint32) uint32 { return i * 7919 % uint32(n) },
		} {
			b.Run(fmt.Sprintf("%s/attempts=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := uint32(0); b.Loop(); i++ {
					h := first(source(i))
					h.DstPort, h.Seq = uint16(i*2654435761>>16)|8, i
					tracker.Observe(h, start)
				}
			})
		}
	}
}

// BenchmarkKnock is a whole sequence of a source among n others.
func BenchmarkKnock(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("attempts=%d", n), func(b *testing.B) {
			tracker := crowd(b, n)
			b.ReportAllocs()
			for i := uint32(0); b.Loop(); i++ {
				h := first(uint32(n) + i)
				for port := range uint16(3) {
					h.DstPort = port + 1
					tracker.Observe(h, start)
				}
			}
		})
	}
}

// BenchmarkDoors is a hit that is nobody's, and a first knock in a full
// table, by the number of doors.
func BenchmarkDoors(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		tracker := knock.NewTracker(1000)
		tracker.SetLocal(conformance.Local)
		var doors []*knock.Door
		for i := range n {
			doors = append(doors, &knock.Door{Name: fmt.Sprint(i), Timeout: time.Hour, Sequence: []knock.Step{
				{Proto: knock.TCP, Port: uint16(i + 1)}, {Proto: knock.UDP, Port: uint16(i + 1)}}})
		}
		tracker.SetDoors(doors)
		for name, port := range map[string]uint16{"nobodys": 65535, "flood": 1} {
			b.Run(fmt.Sprintf("%s/doors=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := uint32(0); b.Loop(); i++ {
					h := first(i)
					h.DstPort = port
					tracker.Observe(h, start)
				}
			})
		}
	}
}

// BenchmarkTargets is the same for doors that share their ports and differ in
// their targets: a router's.
func BenchmarkTargets(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		tracker := knock.NewTracker(1000)
		var doors []*knock.Door
		for i := range n {
			doors = append(doors, &knock.Door{Name: fmt.Sprint(i), Timeout: time.Hour, Target: first(uint32(i)).Src,
				Sequence: []knock.Step{{Proto: knock.TCP, Port: 1}, {Proto: knock.TCP, Port: 2}}})
		}
		tracker.SetDoors(doors)
		for name, to := range map[string]uint32{"nobodys": 1 << 31, "flood": 1} {
			b.Run(fmt.Sprintf("%s/doors=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := uint32(0); b.Loop(); i++ {
					h := first(i)
					h.Dst = first(to).Src
					tracker.Observe(h, start)
				}
			})
		}
	}
}
