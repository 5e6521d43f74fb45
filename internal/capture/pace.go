package capture

import "time"

const (
	// coalesceTime is how long packets may gather in a flood. A ring of 4,096
	// frames, for SPA doors, holds what comes in it at a million a second.
	coalesceTime = 4 * time.Millisecond
	// quick is how many batches must come within coalesceTime before packets
	// gather.
	quick = 8
)

// pace decides when packets gather, so that a flood does not cost a
// wake-up a packet. A single knock, or the few of an honest sequence, is never
// held back.
type pace struct {
	last       time.Time // when the last batch was handed over
	close      int       // how many batches in a row came within coalesceTime
	coalescing bool      // packets gather, and wake nobody
	full       bool      // the last batch was as large as can be: there are more
}

// change reports whether packets are to gather before the next batch, and whether
// that differs from before.
func (p *pace) change() (changed, coalescing bool) {
	was := p.coalescing
	p.coalescing = p.close >= quick
	return p.coalescing != was, p.coalescing
}

// handed notes a batch of so many packets.
func (p *pace) handed(packets int, now time.Time) {
	switch {
	case p.coalescing && packets > 1, !p.coalescing && now.Sub(p.last) < coalesceTime:
		p.close++
	default:
		p.close = 0
	}
	p.last, p.full = now, packets >= MaxBatch
}

// calm notes that no packet has come during coalesceTime.
func (p *pace) calm() { p.close, p.coalescing = 0, false }
