package nft

import (
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"

	"knockd/internal/knock"
)

// openingKey names an opening: a door open for an address (and a port, if the
// door opens one only).
type openingKey struct {
	id     kernelName
	prefix netip.Prefix
	proto  knock.Protocol
	port   uint16
	to     netip.AddrPort // in mode NAT
}

// forever is the end of an opening that lasts until it is closed.
var forever = time.Unix(1<<40, 0)

// setKey names an element of a set. In a set of the host's own several
// openings may need the same element.
type setKey struct {
	set knock.SetName
	key string
}

// record is of openings: what we have asked of the kernel. The
// kernel ends them by itself; the record forgets them when it next looks.
type record struct {
	until   map[openingKey]time.Time
	needs   map[setKey][]openingKey
	purgeAt int // purge when there are that many
}

func newRecord() *record {
	return &record{map[openingKey]time.Time{}, map[setKey][]openingKey{}, 1024}
}

// put enters an opening and the elements it needs. An opening that is known
// already lasts for the longer of the two times.
func (r *record) put(k openingKey, until time.Time, needs []setKey) {
	have, known := r.until[k]
	if !known {
		for _, e := range needs {
			r.needs[e] = append(r.needs[e], k)
		}
	}
	r.until[k] = later(have, until)
}

// drop forgets an opening.
func (r *record) drop(k openingKey, needs []setKey) {
	delete(r.until, k)
	for _, e := range needs {
		rest := slices.DeleteFunc(r.needs[e], func(other openingKey) bool { return other == k })
		if len(rest) == 0 {
			delete(r.needs, e)
		} else {
			r.needs[e] = rest
		}
	}
}

// holder returns which opening needs an element longest, and until when,
// apart from some; the zero time if there is none.
func (r *record) holder(e setKey, except ...openingKey) (last openingKey, end time.Time) {
	for _, k := range r.needs[e] {
		if until := r.until[k]; until.After(end) && !slices.Contains(except, k) {
			last, end = k, until
		}
	}
	return last, end
}

// left returns the timeout to give an element that is to end at a time: at
// least a moment, since the kernel takes 0 for "never". For forever it is 0.
func left(until, now time.Time) time.Duration {
	if until.Equal(forever) {
		return 0
	}
	return atLeast(until.Sub(now))
}

// atLeast rounds up to what the kernel counts in, and never to 0.
func atLeast(d time.Duration) time.Duration {
	const moment = 10 * time.Millisecond
	return max(moment, (d + time.Millisecond - 1).Truncate(time.Millisecond))
}

// until returns the end of an element that the kernel has listed. It names no
// timeout if that is the set's own.
func (t *target) until(e nftables.SetElement, now time.Time) time.Time {
	if e.Timeout == 0 && e.Expires == 0 && t.timeout == 0 {
		return forever
	}
	return now.Add(e.Expires)
}

// elements returns what an opening needs in the kernel. A set keyed by port
// gets an element for each port.
func (s *spec) elements(k openingKey) (t *target, needs []setKey) {
	if t = s.targetOf(k.prefix.Addr()); t == nil {
		return nil, nil
	}
	set := knock.SetName{Table: t.table, Name: t.name}
	if t.kind == keyAddr || s.OnePort {
		return t, []setKey{{set, string(t.key(k.prefix, uint8(k.proto), k.port))}}
	}
	for _, r := range s.Ports {
		for port := int(r.First); port <= int(r.Last); port++ {
			e := setKey{set, string(t.key(k.prefix, uint8(r.Proto), uint16(port)))}
			if !slices.Contains(needs, e) {
				needs = append(needs, e)
			}
		}
	}
	return t, needs
}

// open words an opening of the record.
func (s *spec) open(k openingKey, until, now time.Time) Element {
	o := Element{Door: s.DoorID, Addr: k.prefix.Addr(), Prefix: k.prefix, Proto: k.proto, Port: k.port, To: k.to}
	if !until.Equal(forever) {
		o.Timeout = until.Sub(now)
	}
	return o
}
