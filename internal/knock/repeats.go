package knock

import (
	"encoding/binary"
	"hash/maphash"
	"time"
)

// repeatWindow is how long a hit that took a step is known again after it was
// last seen. Linux repeats a SYN at most 33 s after the one before
// (net.ipv4.tcp_syn_retries, exponential).
const repeatWindow = 40 * time.Second

// The table of repeats: sets of ways entries, the latest seen first; the last
// of a set makes room.
const (
	repeatEntries = 65536
	repeatWays    = 4
)

// repeats remembers, in fixed memory, the TCP hits that took a step, so that
// the same segment sent again by a slow client's kernel is not taken for a
// second knock. Only a keyed hash of each is kept.
type repeats struct {
	sets [repeatEntries / repeatWays]repeatSet // first, so that each fills a cache line
	seed maphash.Seed
}

type repeatSet [repeatWays]repeat

type repeat struct {
	hash uint64 // 0: empty
	seen int64  // nanoseconds since the tracker's epoch
}

func newRepeats() *repeats { return &repeats{seed: maphash.MakeSeed()} }

func (r *repeats) hash(h *Hit) uint64 {
	var key [25]byte
	*(*[16]byte)(key[:]) = h.Src.As16()
	if h.Src.Is4() {
		key[16] = 1
	}
	binary.BigEndian.PutUint16(key[17:], h.SrcPort)
	binary.BigEndian.PutUint16(key[19:], h.DstPort)
	binary.BigEndian.PutUint32(key[21:], h.Seq)
	return maphash.Bytes(r.seed, key[:]) | 1
}

// known reports whether the hit repeats one that took a step, and if so renews
// it.
func (r *repeats) known(h *Hit, now int64) bool {
	hash := r.hash(h)
	set := r.set(hash)
	for i := range set {
		if set[i].hash == hash && now-set[i].seen < int64(repeatWindow) {
			set.put(i, repeat{hash, now})
			return true
		}
	}
	return false
}

// remember enters a hit that took a step, in place of the entry of its set
// that was seen longest ago. It is not known yet, or no longer.
func (r *repeats) remember(h *Hit, now int64) {
	hash := r.hash(h)
	r.set(hash).put(repeatWays-1, repeat{hash, now})
}

// put replaces an entry and makes it the first of its set.
func (s *repeatSet) put(i int, e repeat) {
	copy(s[1:i+1], s[:i])
	s[0] = e
}

func (r *repeats) set(hash uint64) *repeatSet {
	return &r.sets[hash>>32%uint64(len(r.sets))]
}
