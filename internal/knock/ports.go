package knock

import "fmt"

// Ports is a range of ports of one protocol, "tcp/22" or "udp/60001-60010".
type Ports struct {
	Proto       Protocol
	First, Last uint16 // 1-65535; both 0 for "tcp/*", the port that the knock named
}

// Named says whether this is the port that the knock named.
func (p Ports) Named() bool { return p.First == 0 }

// Len is how many ports the range has; 1 for the one that the knock named.
func (p Ports) Len() int { return int(p.Last) - int(p.First) + 1 }

// String returns the range as the configuration writes it.
func (p Ports) String() string {
	if p.Named() {
		return p.Proto.String() + "/*"
	}
	return p.Proto.String() + "/" + p.span().String()
}

func (p Ports) span() PortRange { return PortRange{p.First, p.Last} }

// PortRange is a range of ports, whatever the protocol.
type PortRange struct{ First, Last uint16 } // 1-65535

// String returns "22" or "60001-60010".
func (r PortRange) String() string {
	if r.First == r.Last {
		return fmt.Sprint(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// has says whether a port is one of the range's.
func (r PortRange) has(port uint16) bool { return r.First <= port && port <= r.Last }

// Lengths is a range of lengths of a transport payload, in octets. Max is 0
// if none was asked for.
type Lengths struct{ Min, Max int }

// has says whether a length is one of the range's.
func (l Lengths) has(n int) bool { return l.Min <= n && (l.Max == 0 || n <= l.Max) }
