package knock

import (
	"fmt"
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

// ParsePortRange reads "tcp/22" or "udp/60001-60010"; ok is false if the text
// is anything else.
func ParsePortRange(text string) (r PortRange, ok bool) {
	proto, ports, _ := strings.Cut(text, "/")
	switch strings.ToLower(strings.TrimSpace(proto)) {
	case "tcp":
		r.Proto = TCP
	case "udp":
		r.Proto = UDP
	default:
		return r, false
	}
	first, last, ranged := strings.Cut(ports, "-")
	if !ranged {
		last = first
	}
	a, errA := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	b, errB := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	r.First, r.Last = uint16(a), uint16(b)
	return r, errA == nil && errB == nil && a > 0 && a <= b
}

// ParsePortRanges reads a list of ranges, as in "tcp/22, udp/60001-60010".
func ParsePortRanges(text string) ([]PortRange, error) {
	var list []PortRange
	for _, word := range strings.Split(text, ",") {
		r, ok := ParsePortRange(strings.TrimSpace(word))
		if !ok {
			return nil, fmt.Errorf("%q: must be PROTOCOL/PORT or PROTOCOL/FIRST-LAST, with tcp or udp and ports from 1 to 65535", strings.TrimSpace(word))
		}
		list = append(list, r)
	}
	return list, nil
}

// Lengths is a range of lengths of a transport payload, in octets. Max is 0
// if none was asked for.
type Lengths struct{ Min, Max int }

// has says whether a length is one of the range's.
func (l Lengths) has(n int) bool { return l.Min <= n && (l.Max == 0 || n <= l.Max) }
