package capture

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestPace: after some batches one close upon the other packets are let
// gather, until a batch of them holds no more than one.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		batch := func(after time.Duration, packets int, coalesces bool) {
			t.Helper()
			time.Sleep(after)
			if _, coalescing := p.change(); coalescing != coalesces {
				t.Errorf("coalescing: %v, want %v", coalescing, coalesces)
			}
			p.handed(packets, time.Now())
		}
		for range 20 { // a sequence of knocks, as fast as clients are
			batch(30*time.Millisecond, 1, false)
		}
		for range quick {
			batch(100*time.Microsecond, 1, false)
		}
		batch(100*time.Microsecond, 20, true)
		batch(100*time.Microsecond, MaxBatch, true)
		if !p.full {
			t.Error("a full batch: the rest is there")
		}
		batch(100*time.Microsecond, 2, true)
		batch(100*time.Microsecond, 2, true)
		batch(100*time.Microsecond, 1, true)
		batch(100*time.Microsecond, 1, false)
		for range quick - 1 {
			batch(100*time.Microsecond, 1, false)
		}
		batch(time.Second, 1, true) // the flood ended; this pause is the last
		batch(time.Second, 1, false)
	})
}
