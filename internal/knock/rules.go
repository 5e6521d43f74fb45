package knock

import (
	"net/netip"
	"slices"
)

// rules is a door as the tracker asks it: with what follows from its fields.
type rules struct {
	*Door
	id     int32    // of its name and occurrence; the same after SetDoors
	from   *senders // nil: everybody
	failed uint64   // attempts that a hit has ended, also before SetDoors
}

// begins reports whether the hit, on the door's first step and at its
// destination, starts an attempt.
func (d *rules) begins(s *sighting) bool {
	return s.satisfies(d.Flags) && d.PacketLength.has(s.PayloadLen) && d.from.has(s.Src)
}

// verdict is what a hit does to an attempt.
type verdict uint8

const (
	nothing verdict = iota
	step
	failed
)

// judge decides about a hit at the attempt's destination. Whom the door does
// not let knock has no attempt.
func (d *rules) judge(a *attempt, s *sighting) verdict {
	fits := d.PacketLength.has(s.PayloadLen)
	switch {
	case !s.satisfies(d.Flags):
		return nothing
	case d.takes(int(a.stage), s.Hit):
		if fits {
			return step
		}
		return nothing
	case d.ForgiveRepeats && d.again(a, s.Hit):
		return nothing
	case d.Strict && !d.ignores(s.Hit), !d.Strict && fits && s.visible:
		return failed
	}
	return nothing
}

// again reports whether the hit is one more on the step that the attempt took
// last.
func (d *rules) again(a *attempt, h *Hit) bool {
	s := d.Sequence[a.stage-1]
	return s.Proto == h.Proto && (s.Port == h.DstPort || s.Port == 0 && a.port == h.DstPort)
}

// strict is what packets to any port have to meet to fail an attempt at some
// strict door: flags, by the target of the door.
type strict map[netip.Addr][]FlagMatch

func (x *strict) add(d *Door) {
	if *x == nil {
		*x = strict{}
	}
	if m := *x; !slices.Contains(m[d.Target], d.Flags) {
		m[d.Target] = append(m[d.Target], d.Flags)
	}
}

// stray reports whether a packet that no door can use may fail an attempt.
func (x strict) stray(s *sighting) bool {
	fits := func(m FlagMatch) bool { return s.satisfies(m) }
	return len(x) > 0 && (s.local && slices.ContainsFunc(x[netip.Addr{}], fits) || slices.ContainsFunc(x[s.Dst], fits))
}
