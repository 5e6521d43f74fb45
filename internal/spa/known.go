package spa

import (
	"hash/maphash"
	"time"
)

// maxKnown is how many packets are known at once: more than clients send in the
// time for which a packet is not too old.
const maxKnown = 4096

// known remembers packets that some key has made and that open nothing any more,
// by a keyed hash of their octets: a flood of replays costs no key trial. It only
// makes haste. Of a packet that is not in it, also one that holds the same
// message in other octets, the keys are tried and the token decides.
type known struct {
	seed    maphash.Seed
	packets map[uint64]*seen
	order   []uint64 // of the packets, as they came; the oldest goes first
	oldest  int
}

// seen is a packet that is known.
type seen struct {
	match
	stamp time.Time
	used  string // why it is not new, "" if it was only untimely
	late  string // what is wrong with its age
	asOf  int64  // when that was found out, Unix seconds
}

func newKnown() known {
	return known{seed: maphash.MakeSeed(), packets: map[uint64]*seen{}}
}

func (k *known) sum(payload []byte) uint64 { return maphash.Bytes(k.seed, payload) }

// add enters a packet, or what is known of it now.
func (k *known) add(sum uint64, s *seen) {
	if k.packets[sum] == nil {
		if len(k.order) < maxKnown {
			k.order = append(k.order, 0)
		} else {
			delete(k.packets, k.order[k.oldest])
		}
		k.order[k.oldest] = sum
		k.oldest = (k.oldest + 1) % maxKnown
	}
	k.packets[sum] = s
}

// refuse reports whether the packet opens nothing now, and says why. One that was
// only untimely has to be too old for all doors, since they may differ.
func (s *seen) refuse(d *Verdict, now time.Time, age time.Duration) bool {
	if s.used == "" && !tooOld(s.stamp, now, age) {
		return false
	}
	if s.asOf != now.Unix() { // in words, once a second
		s.asOf, s.late = now.Unix(), untimely(s.stamp, now, s.door.MaxAge)
	}
	d.Outcome, d.Reason = Replay, s.used
	if s.late != "" {
		d.Outcome, d.Reason, d.Late = Untimely, s.late, now.Sub(s.stamp).Truncate(time.Second)
	}
	d.Door, d.Client = s.door.DoorID, s.client.Name
	return true
}
