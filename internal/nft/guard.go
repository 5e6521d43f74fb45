package nft

import (
	"net/netip"
	"slices"

	"github.com/google/nftables"

	"knockd/internal/knock"
)

// coverage is what a guard closes now, and what it leaves open until knocks
// can be captured.
type coverage struct{ closed, open, timed []knock.PortRange }

// Guarded returns the ports that the guard closes, and those that it will
// close once there is something to listen on (Options.Listening). It does not
// wait for the kernel.
func (f *Firewall) Guarded() (closed, open []knock.PortRange) {
	if c := f.coverage.Load(); c != nil {
		return c.closed, c.open
	}
	return nil, nil
}

// Shut has the guard close what it has left open, if knocks can be captured now.
func (f *Firewall) Shut() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.k == nil || f.model == nil {
		return nil
	}
	_, err := f.repair(false)
	return err
}

// SetRescue says for which addresses the guard closes nothing, from the next
// Ensure on. It returns those for which it closed nothing before.
func (f *Firewall) SetRescue(all []netip.Prefix) (was []netip.Prefix) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was, f.opt.Rescue = f.opt.Rescue, all
	return was
}

// Closed returns the doors' ports that are closed by a guard in the kernel
// already, which somebody has left or has now, and those that are not.
func Closed(o Options, doors []Door) (closed, open []knock.PortRange, err error) {
	o = o.WithDefaults()
	specs, err := newSpecs(&o, doors)
	if err != nil || !o.Mode.closes {
		return nil, nil, err
	}
	k, err := dial(o.NetNS)
	if err != nil {
		return nil, nil, err
	}
	defer k.close()
	was, err := readTable(k, o.Table, false)
	if err != nil {
		return nil, nil, err
	}
	all := segments(specs)
	closed = rangesOf(partsIn(all, slices.Concat(was.closes(), was.closesForNow())))
	return closed, rangesOf(partsOutside(all, closed)), nil
}

// design returns what our table is to look like. As long as no knock can be
// captured, the guard closes only what it or the table it has found has closed
// already: it locks nobody out, and opens nothing.
func (f *Firewall) design(specs []*spec, was *tableState) *model {
	c := f.cover(segments(specs))
	if f.opt.Mode.closes && f.opt.Listening != nil && !f.opt.Listening() {
		closed := slices.Concat(was.closes(), was.closesForNow())
		if f.model != nil {
			closed = append(closed, rangesOf(f.model.segments)...)
		}
		c.lasting, c.timed = partsIn(c.lasting, closed), partsIn(c.timed, closed)
	}
	return newModel(&f.opt, specs, c)
}

// use takes note of the model that is in the kernel; nil: there is none.
func (f *Firewall) use(m *model) {
	f.model = m
	c := &coverage{}
	if m != nil && f.opt.Mode.closes {
		c.closed = rangesOf(m.segments)
		for _, r := range m.timed {
			c.timed = append(c.timed, r.PortRange)
		}
		c.open = rangesOf(partsOutside(segments(m.doors), c.closed))
	}
	f.coverage.Store(c)
}

// closes returns the ports that a guard's table closes for good.
func (s *tableState) closes() []knock.PortRange { return s.closedBy(mapName(Guard)) }

// closesForNow returns the ports that it closes while a trial lasts.
func (s *tableState) closesForNow() []knock.PortRange { return s.closedBy(trialName) }

func (s *tableState) closedBy(ports string) []knock.PortRange {
	hooked := s.chains["guard"] != nil || s.chains["guard_prerouting"] != nil
	if s.table == nil || s.table.Flags&nftables.TableFlagDormant != 0 || !s.ours || !hooked {
		return nil
	}
	var closed []knock.PortRange
	for r := range s.routes(ports) {
		closed = append(closed, r.PortRange)
	}
	return closed
}

// partsIn returns what segments and ranges have in common.
func partsIn(all []segment, ranges []knock.PortRange) []segment {
	ranges = knock.JoinPorts(ranges)
	var out []segment
	for _, s := range all {
		for _, r := range ranges {
			part := s
			part.First, part.Last = max(s.First, r.First), min(s.Last, r.Last)
			if r.Proto == s.Proto && part.First <= part.Last {
				out = append(out, part)
			}
		}
	}
	return out
}

// partsOutside returns what segments have and ranges do not.
func partsOutside(all []segment, ranges []knock.PortRange) []segment {
	ranges = knock.JoinPorts(ranges)
	var others []knock.PortRange
	for _, s := range all {
		first := int(s.First)
		for _, r := range ranges {
			if r.Proto != s.Proto || r.Last < s.First || r.First > s.Last {
				continue
			}
			if first < int(r.First) {
				others = append(others, knock.PortRange{Proto: s.Proto, First: uint16(first), Last: r.First - 1})
			}
			first = int(r.Last) + 1
		}
		if first <= int(s.Last) {
			others = append(others, knock.PortRange{Proto: s.Proto, First: uint16(first), Last: s.Last})
		}
	}
	return partsIn(all, others)
}

func rangesOf(all []segment) []knock.PortRange {
	var ranges []knock.PortRange
	for _, s := range all {
		ranges = append(ranges, s.PortRange)
	}
	return knock.JoinPorts(ranges)
}
