package capture

import (
	"hash/maphash"
	"time"
)

// twinWindow is how long the second of two equal packets may take to come by
// another interface.
const twinWindow = 50 * time.Millisecond

// twins finds the packets that interfaces stacked on one another (a bridge
// and its port, a VLAN and its parent, a bond and its parts) show more than
// once: the same octets from the network header on, by another interface.
// What comes again by the same interface was sent again. Its memory is fixed;
// the newest packet takes the place of an older one.
type twins struct {
	seed    maphash.Seed
	epoch   time.Time
	entries [4096]twin
}

type twin struct {
	hash    uint64
	at      time.Duration // since the epoch
	ifIndex int           // 0: empty
}

func newTwins() *twins { return &twins{seed: maphash.MakeSeed()} }

// second says whether the packet was shown before by another interface.
func (t *twins) second(p *Captured) bool {
	if p.IfIndex == 0 {
		return false
	}
	if t.epoch.IsZero() {
		t.epoch = p.Time
	}
	at, hash := p.Time.Sub(t.epoch), maphash.Bytes(t.seed, p.Octets)
	e := &t.entries[hash%uint64(len(t.entries))]
	if e.hash == hash && e.ifIndex != 0 && e.ifIndex != p.IfIndex && at-e.at <= twinWindow {
		return true
	}
	*e = twin{hash, at, p.IfIndex}
	return false
}
