package knock_test

import (
	"flag"
	"runtime"
	"testing"
	"time"

	"knockd/internal/conformance"
	"knockd/internal/knock"
)

// hits is how long the floods of this file are; the full size is 10,000,000.
var hits = flag.Int("hits", 500_000, "hits in a flood")

// TestNobodyFurtherOnIsPushedOut: a flood of first knocks evicts the oldest
// first knocks and nobody else, and the cap holds.
func TestNobodyFurtherOnIsPushedOut(t *testing.T) {
	const limit, further = 1000, 400
	tracker := newTracker(t, limit, "a: 1,2,3 timeout 3600")
	for i := range uint32(further) {
		h := first(i)
		tracker.Observe(h, start)
		h.DstPort = 2
		tracker.Observe(h, start)
	}
	for i := range uint32(*hits) {
		tracker.Observe(first(further+i), start.Add(time.Second))
		if n := tracker.Stats().Attempts; n > limit {
			t.Fatalf("%d attempts, cap %d", n, limit)
		}
	}
	if err := tracker.Check(); err != nil {
		t.Error(err)
	}
	for i := range uint32(further) {
		h := first(i)
		h.DstPort = 3
		if len(tracker.Observe(h, start.Add(time.Minute))) != 2 {
			t.Fatalf("source %d of %d did not get in", i, further)
		}
	}
	// Of the flood the latest are there and nobody else.
	for i := range uint32(limit) {
		h := first(further + uint32(*hits) - limit + i)
		h.DstPort = 2
		alive := len(tracker.Observe(h, start.Add(time.Minute))) == 1
		if want := i >= further; alive != want {
			t.Fatalf("flooder %d of the last %d is alive: %v, want %v", i, limit, alive, want)
		}
	}
	s := tracker.Stats()
	if want := uint64(*hits) - (limit - further); s.Evicted != want || s.Refused != 0 {
		t.Errorf("%d evicted, %d refused, want %d, 0", s.Evicted, s.Refused, want)
	}
}

// TestFullOfOthersFurtherOn: when everybody is further on, nobody begins, but
// doors of one step still open.
func TestFullOfOthersFurtherOn(t *testing.T) {
	tracker := newTracker(t, 2, "a: 1,2,3 timeout 60", "b: 9")
	got := script(t, tracker, `
		0 10.0.0.1 1
		0 10.0.0.1 2
		0 10.0.0.2 1
		0 10.0.0.2 2
		1 10.0.0.3 1
		2 10.0.0.3 9
		3 10.0.0.1 3
		4 10.0.0.3 1`)
	want := `0 10.0.0.1 1| STAGE 1 a 10.0.0.1
0 10.0.0.1 2| STAGE 2 a 10.0.0.1
0 10.0.0.2 1| STAGE 1 a 10.0.0.2
0 10.0.0.2 2| STAGE 2 a 10.0.0.2
1 10.0.0.3 1|
2 10.0.0.3 9| STAGE 1 b 10.0.0.3, OPEN b 10.0.0.3
3 10.0.0.1 3| STAGE 3 a 10.0.0.1, OPEN a 10.0.0.1
4 10.0.0.3 1| STAGE 1 a 10.0.0.3
`
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if s := tracker.Stats(); s.Refused != 1 || s.Evicted != 0 {
		t.Errorf("%d refused, %d evicted, want 1, 0", s.Refused, s.Evicted)
	}
}

// TestEvictionWithinOneHit: a hit that begins at several doors may push out
// what it has just begun.
func TestEvictionWithinOneHit(t *testing.T) {
	tracker := newTracker(t, 1, "a: 1,2", "b: 1,3", "c: 1,4")
	got := script(t, tracker, "0 10.0.0.1 1\n1 10.0.0.1 2\n2 10.0.0.1 1\n3 10.0.0.1 4")
	want := `0 10.0.0.1 1| STAGE 1 a 10.0.0.1, STAGE 1 b 10.0.0.1, STAGE 1 c 10.0.0.1
1 10.0.0.1 2|
2 10.0.0.1 1| STAGE 1 a 10.0.0.1, STAGE 1 b 10.0.0.1, STAGE 1 c 10.0.0.1
3 10.0.0.1 4| STAGE 2 c 10.0.0.1, OPEN c 10.0.0.1
`
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// TestMemoryIsFlat: once the table is full no hit costs memory, whether it
// evicts, begins, goes on, fails, opens or repeats.
func TestMemoryIsFlat(t *testing.T) {
	const limit = 4096
	tracker := crowd(t, limit)
	now := start
	hit := func(i uint32) {
		h := first(limit + i/2)
		h.DstPort = uint16(i % 5)
		now = now.Add(time.Millisecond)
		tracker.Observe(h, now)
	}
	for i := range uint32(1000) {
		hit(i)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range uint32(*hits) {
		hit(1000 + i)
	}
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > 100 {
		t.Errorf("%d hits made %d allocations", *hits, n)
	}
	if err := tracker.Check(); err != nil {
		t.Error(err)
	}
	runtime.KeepAlive(tracker)
}

// TestNoAllocation: a hit that begins nothing allocates nothing.
func TestNoAllocation(t *testing.T) {
	tracker := knock.NewTracker(100)
	tracker.SetLocal(conformance.Local)
	tracker.SetDoors([]*knock.Door{door(t, "a: 1,2,3")})
	tracker.Observe(first(1), start)
	for name, change := range map[string]func(*knock.Hit){
		"a port nobody knocks": func(h *knock.Hit) { h.DstPort = 99 },
		"not ours":             func(h *knock.Hit) { h.Dst = h.Src },
		"a repeat":             func(h *knock.Hit) {},
		"a stranger's second":  func(h *knock.Hit) { *h = first(2); h.DstPort = 2 },
	} {
		h := first(1)
		change(&h)
		if n := testing.AllocsPerRun(100, func() { tracker.Observe(h, start) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
