package knock_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"knockd/internal/conformance"
	"knockd/internal/knock"
)

// scan sends one SYN to each of the ports and says whether a door opened.
func scan(tracker *knock.Tracker, n uint32, ports []int) (opened bool) {
	src := first(n).Src
	for _, port := range ports {
		h := knock.Hit{Src: src, Dst: conformance.Local[0], SrcPort: 40000, DstPort: uint16(port),
			Proto: knock.TCP, Flags: knock.SYN, Seq: n}
		for _, e := range tracker.Observe(h, start) {
			opened = opened || e.Kind == knock.Opened
		}
	}
	return opened
}

// TestScansAsComputed: a scan of m ports in random order takes the n steps of
// a plain door in their order with probability 1/n!. At a strict door nothing
// may come between them, which leaves (m-n+1)!/m! of all orders.
func TestScansAsComputed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		n, m   int
		strict bool
	}{
		{2, 100, false}, {3, 100, false}, {4, 100, false}, {5, 20, false},
		{2, 20, true}, {2, 100, true}, {3, 8, true}, {3, 12, true}, {4, 6, true},
	} {
		t.Run(fmt.Sprintf("%d steps, %d ports, strict %v", c.n, c.m, c.strict), func(t *testing.T) {
			d := &knock.Door{Name: "door", Timeout: knock.DefaultTimeout, Strict: c.strict,
				Flags: knock.FlagMatch{Set: knock.SYN, Clear: knock.ACK}}
			for i := range c.n {
				d.Sequence = append(d.Sequence, knock.Step{Proto: knock.TCP, Port: uint16(1 + i*c.m/c.n)})
			}
			tracker := knock.NewTracker(knock.DefaultMaxAttempts)
			tracker.SetLocal(conformance.Local)
			tracker.SetDoors([]*knock.Door{d})
			const scans = 10_000
			opened := 0
			for i := range scans {
				ports := random.Perm(c.m)
				for p := range ports {
					ports[p]++
				}
				if scan(tracker, uint32(i), ports) {
					opened++
				}
			}
			want := 1.0
			for i := range c.n {
				if c.strict && i < c.n-1 {
					want /= float64(c.m - i)
				} else if !c.strict {
					want /= float64(i + 1)
				}
			}
			got, sigma := float64(opened)/scans, math.Sqrt(want*(1-want)/scans)
			t.Logf("%.5f of %d scans open, computed %.5f", got, scans, want)
			if math.Abs(got-want) > 5*sigma {
				t.Errorf("%.5f of %d scans open, computed %.5f", got, scans, want)
			}
		})
	}
}

// TestOrderlyScans: up or down, through all ports, nothing opens a strict door;
// up opens every plain one that only rises.
func TestOrderlyScans(t *testing.T) {
	up, down := make([]int, 65535), make([]int, 65535)
	for i := range up {
		up[i], down[i] = i+1, 65535-i
	}
	rising := []string{"a: 7000,8000,9000", "a: 1,65535", "a: 1,3,5", "a: 100,200,300,400"}
	for _, text := range append(rising, "a: 9000,8000,7000", "a: 7000,9000,8000", "a: 65535,1", "a: 4,2") {
		for _, strict := range []bool{false, true} {
			for name, ports := range map[string][]int{"up": up, "down": down} {
				d := door(t, text+" flags syn,!ack")
				d.Strict = strict
				tracker := newTracker(t, 10)
				tracker.SetDoors([]*knock.Door{d})
				want := !strict
				for i := range len(d.Sequence) - 1 {
					rises := d.Sequence[i].Port < d.Sequence[i+1].Port
					want = want && rises == (name == "up")
				}
				if got := scan(tracker, 1, ports); got != want {
					t.Errorf("%s, strict %v, %s: opened %v", text, strict, name, got)
				}
			}
		}
	}
}
