package knock_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"knockd/internal/conformance"
	"knockd/internal/knock"
)

// hits is how long the floods of this file are; the full size is 10,000,000.
var hits = flag.Int("hits", 500_000, "hits in a flood")

// TestOneDoorDoesNotFillTheTable: a flood of attempts at one door, of one step
// or of two, takes none from another door that has as many as half of the
// table; that its own oldest go is told.
func TestOneDoorDoesNotFillTheTable(t *testing.T) {
	const limit, honest = 1000, 500
	for steps := range uint16(2) {
		doors := []*knock.Door{door(t, "guest: 1,2,3 timeout 3600"), door(t, "admin: 4,5,6 timeout 3600")}
		tracker := knock.NewTracker(limit)
		tracker.SetLocal(conformance.Local)
		tracker.SetDoors(doors)
		hit := func(i uint32, port uint16) int {
			h := first(i)
			h.DstPort = port
			return len(tracker.Observe(h, start))
		}
		for i := range uint32(honest) {
			hit(i, 4)
		}
		for i := range uint32(*hits) {
			for step := range steps + 1 {
				hit(honest+i, step+1)
			}
			if n := tracker.Stats().Attempts; n > limit {
				t.Fatalf("%d attempts, cap %d", n, limit)
			}
		}
		if err := tracker.Check(); err != nil {
			t.Error(err)
		}
		if s := tracker.Stats(); s.Evicted != uint64(*hits)-(limit-honest) || s.Fullest != doors[0] {
			t.Errorf("%d evicted, at last of %v", s.Evicted, s.Fullest)
		}
		// Of the flood the latest are there and nobody else.
		for i := range uint32(limit) {
			alive := hit(honest+uint32(*hits)-limit+i, steps+2) > 0
			if want := i >= honest; alive != want {
				t.Fatalf("flooder %d of the last %d is alive: %v, want %v", i, limit, alive, want)
			}
		}
		for i := range uint32(honest) {
			if hit(i, 5) != 1 || hit(i, 6) != 2 {
				t.Fatalf("source %d of %d did not get in", i, honest)
			}
		}
	}
}

// TestWhoGoes: the oldest attempt of the door that has most, however far it
// is, and of the door that is knocked at if none has more.
func TestWhoGoes(t *testing.T) {
	doors := []string{"a: 1,2,3 timeout 60", "b: 4,5 timeout 60", "c: 6,7 timeout 60", "one: 9"}
	for _, test := range []struct{ name, full, hit, gone, fullest string }{
		{"the oldest, though it is further on", "1:1 1:2 2:1 3:1 4:4", "5:4", "1:3", "a"},
		{"of the door itself if it has most", "1:4 2:1 3:1 4:1", "5:1", "2:2", "a"},
		{"or as many", "1:1 2:1 3:4 4:4", "5:4", "3:5", "b"},
		{"all further on", "1:1 1:2 2:1 2:2 3:1 3:2 4:1 4:2", "5:6", "1:3", "a"},
		{"one that was there before others", "1:1 2:4 3:6 4:6", "5:4", "3:7", "c"},
		{"of the first door of several", "1:6 2:6 3:1 4:1", "5:4", "3:2", "a"},
		{"none for a door of one step", "1:1 2:1 3:1 4:1", "5:9", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			tracker := newTracker(t, 4, doors...)
			play := func(hits string) (events int) {
				for hit := range strings.FieldsSeq(hits) {
					src, port, _ := strings.Cut(hit, ":")
					events = len(tracker.Observe(parseHit(t, 0, []string{"10.0.0." + src, port}), start))
				}
				return events
			}
			play(test.full)
			if s := tracker.Stats(); s.Attempts != 4 || s.Evicted != 0 {
				t.Fatalf("%+v", s)
			}
			if play(test.hit) == 0 {
				t.Error("it did not begin")
			}
			s := tracker.Stats()
			fullest := ""
			if s.Fullest != nil {
				fullest = s.Fullest.Name
			}
			if fullest != test.fullest || (s.Evicted == 1) != (test.gone != "") {
				t.Errorf("%d went, at last of %q", s.Evicted, fullest)
			}
			if play(test.gone) != 0 {
				t.Errorf("%s still takes a step", test.gone)
			}
			if err := tracker.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFairModel plays random attempts at doors, few and ten thousand of them,
// some with much more of them than others, and holds what goes against the
// rule.
func TestFairModel(t *testing.T) {
	for _, n := range []int{1, 2, 7, 10_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			const limit = 500
			tracker := knock.NewTracker(limit)
			tracker.SetLocal(conformance.Local)
			var doors []*knock.Door
			for i := range n {
				doors = append(doors, &knock.Door{Name: fmt.Sprint(i), Timeout: time.Hour, Sequence: []knock.Step{
					{Proto: knock.TCP, Port: uint16(i + 1)}, {Proto: knock.UDP, Port: uint16(i + 1)}, {Proto: knock.UDP, Port: 60_000}}})
			}
			tracker.SetDoors(doors)
			seed := rand.Uint64()
			r := rand.New(rand.NewPCG(seed, 0))
			held := map[*knock.Door]int{}
			live, evicted := 0, uint64(0)
			for i := range uint32(50_000) {
				d := doors[int(float64(n)*math.Pow(r.Float64(), 5))]
				h := first(i)
				h.DstPort = d.Sequence[0].Port
				tracker.Observe(h, start.Add(time.Duration(i)))
				s := tracker.Stats()
				if s.Evicted == evicted {
					live++
				} else if held[s.Fullest]--; live != limit || !fairly(held, d, s.Fullest) {
					t.Fatalf("seed %d: for one more at %s, which has %d, went one of %s, left with %d", seed, d.Name, held[d], s.Fullest.Name, held[s.Fullest])
				}
				evicted = s.Evicted
				held[d]++
				if r.IntN(3) == 0 {
					h.Proto = knock.UDP
					tracker.Observe(h, start.Add(time.Duration(i)))
				}
				if i%(1000+40*uint32(n)) == 0 { // a reload in which every other door changes its place
					r.Shuffle(n/2, func(a, b int) { doors[a], doors[n-1-b] = doors[n-1-b], doors[a] })
					tracker.SetDoors(doors)
				}
				if i%500 != 0 {
					continue
				}
				if err := tracker.Check(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		})
	}
}

// fairly reports whether an attempt of one door may go, as it has, for one at
// another: no door has more than it had, and unless it is the same one, that
// has not as many.
func fairly(held map[*knock.Door]int, newcomer, gone *knock.Door) bool {
	had := held[gone] + 1
	for _, n := range held {
		if n > had {
			return false
		}
	}
	return newcomer == gone || held[newcomer] < had
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
