package knock

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// PortRange is the ports First to Last, both included.
type PortRange struct {
	Proto       Protocol // 0: whatever the protocol
	First, Last uint16   // 1-65535, First not above Last
}

// Ports returns the range that is one port.
func (s Step) Ports() PortRange { return PortRange{s.Proto, s.Port, s.Port} }

// PortsOf returns the ports of steps, each as a range.
func PortsOf(steps []Step) []PortRange {
	var ports []PortRange
	for _, s := range steps {
		ports = append(ports, s.Ports())
	}
	return ports
}

// PortNames returns ranges as the configuration writes them, with sep between
// them: "tcp/22, udp/60001-60010".
func PortNames(ports []PortRange, sep string) string {
	names := make([]string, len(ports))
	for i, p := range ports {
		names[i] = p.String()
	}
	return strings.Join(names, sep)
}

// Has reports whether a port is in the range.
func (r PortRange) Has(s Step) bool {
	return (r.Proto == 0 || r.Proto == s.Proto) && r.First <= s.Port && s.Port <= r.Last
}

// Holds reports whether all of another range of the same protocol is in the
// range.
func (r PortRange) Holds(o PortRange) bool {
	return r.Proto == o.Proto && r.First <= o.First && o.Last <= r.Last
}

// Len returns how many ports the range has.
func (r PortRange) Len() int { return int(r.Last) - int(r.First) + 1 }

// String returns the range as the configuration writes it: "tcp/22",
// "udp/60001-60010" or, whatever the protocol, "22".
func (r PortRange) String() string {
	if r.Proto == 0 {
		return r.Numbers("-")
	}
	return r.Proto.String() + "/" + r.Numbers("-")
}

// Numbers returns the ports alone: one number, or two joined by sep.
func (r PortRange) Numbers(sep string) string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d%s%d", r.First, sep, r.Last)
}

// SplitPorts returns the ports of one protocol in order, cut wherever one of
// the ranges begins or ends, so that each range holds all of a piece or none.
func SplitPorts(all []PortRange, proto Protocol) []PortRange {
	var cuts []int
	for _, r := range all {
		if r.Proto == proto {
			cuts = append(cuts, int(r.First), int(r.Last)+1)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var pieces []PortRange
	for i := range len(cuts) - 1 {
		piece := PortRange{proto, uint16(cuts[i]), uint16(cuts[i+1] - 1)}
		if slices.ContainsFunc(all, func(r PortRange) bool { return r.Holds(piece) }) {
			pieces = append(pieces, piece)
		}
	}
	return pieces
}

// JoinPorts returns the ports in order of protocol and number, those that touch
// or overlap as one range.
func JoinPorts(all []PortRange) []PortRange {
	var out []PortRange
	for _, r := range slices.SortedFunc(slices.Values(all), comparePorts) {
		if n := len(out); n > 0 && out[n-1].Proto == r.Proto && int(r.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
		} else {
			out = append(out, r)
		}
	}
	return out
}

func comparePorts(a, b PortRange) int {
	return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.First, b.First))
}

// Lengths is a range of lengths of a transport payload, in octets. Max is 0
// if none was asked for.
type Lengths struct{ Min, Max int }

// String returns the range as the configuration writes it: "10-1200", or "10"
// without a Max.
func (l Lengths) String() string {
	if l.Max == 0 {
		return strconv.Itoa(l.Min)
	}
	return fmt.Sprintf("%d-%d", l.Min, l.Max)
}

// has reports whether a length is one of the range's.
func (l Lengths) has(n int) bool { return l.Min <= n && (l.Max == 0 || n <= l.Max) }
