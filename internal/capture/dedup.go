package capture

import (
	"hash/maphash"
	"time"
)

// dedupWindow is how long the second of two equal packets may take to come by
// another interface.
const dedupWindow = 50 * time.Millisecond

// dedup finds the packets that interfaces stacked on one another (a bridge
// and its port, a VLAN and its parent, a bond and its parts) show more than
// once: the same octets from the network header on, by another interface.
// What comes again by the same interface was sent again. Its memory is fixed;
// the newest packet takes the place of an older one.
type dedup struct {
	seed    maphash.Seed
	epoch   time.Time
	entries [4096]dedupEntry
}

type dedupEntry struct {
	hash    uint64
	at      time.Duration // since the epoch
	ifIndex int           // 0: empty
}

func newDedup() *dedup { return &dedup{seed: maphash.MakeSeed()} }

// duplicate reports whether the packet was shown before by another interface.
func (t *dedup) duplicate(p *Captured) bool {
	if p.IfIndex == 0 {
		return false
	}
	if t.epoch.IsZero() {
		t.epoch = p.Time
	}
	at, hash := p.Time.Sub(t.epoch), maphash.Bytes(t.seed, p.Octets)
	e := &t.entries[hash%uint64(len(t.entries))]
	if e.hash == hash && e.ifIndex != 0 && e.ifIndex != p.IfIndex && at-e.at <= dedupWindow {
		return true
	}
	*e = dedupEntry{hash, at, p.IfIndex}
	return false
}
