package nft

import (
	"slices"

	"knockd/internal/knock"
)

// segment is a range of ports that the same doors open.
type segment struct {
	knock.PortRange
	doors []*spec
}

// segments cuts the ports of all doors into ranges that do not overlap.
func segments(doors []*spec) []segment {
	var all []segment
	for _, proto := range []knock.Protocol{knock.TCP, knock.UDP} {
		all = append(all, segmentsOf(doors, proto)...)
	}
	return all
}

func segmentsOf(doors []*spec, proto knock.Protocol) []segment {
	var ranges []knock.PortRange
	for _, d := range doors {
		ranges = append(append(ranges, d.Ports...), d.inner...)
	}
	var all []segment
	for _, piece := range knock.SplitPorts(ranges, proto) {
		s := segment{piece, nil}
		ours := false
		for _, d := range doors {
			if d.mayOpen(piece) {
				s.doors = append(s.doors, d)
			}
			ours = ours || d.opens(piece)
		}
		if !ours { // inner ports of NAT alone close nothing
			continue
		}
		last := len(all) - 1
		if last >= 0 && int(all[last].Last)+1 == int(s.First) && slices.Equal(all[last].doors, s.doors) {
			all[last].Last = s.Last
			continue
		}
		all = append(all, s)
	}
	return all
}

// opens reports whether all ports of a range are among the door's.
func (s *spec) opens(r knock.PortRange) bool { return containAll(s.Ports, r) }

// mayOpen reports whether the door can be open for a range of ports: its own, or
// the inner ones of NAT.
func (s *spec) mayOpen(r knock.PortRange) bool { return s.opens(r) || containAll(s.inner, r) }

// containAll reports whether one of the ranges holds all of another.
func containAll(all []knock.PortRange, s knock.PortRange) bool {
	return slices.ContainsFunc(all, func(r knock.PortRange) bool { return r.Holds(s) })
}
