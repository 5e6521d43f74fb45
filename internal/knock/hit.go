package knock

import (
	"net/netip"
	"strings"
)

// Protocol is an IP protocol number that a step can have (IANA "Assigned
// Internet Protocol Numbers").
type Protocol uint8

// The two protocols knockd 0.8 knows.
const (
	TCP Protocol = 6
	UDP Protocol = 17
)

// String returns "tcp" or "udp", as the configuration writes them.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	}
	return "unknown"
}

// ParseProtocol reads "tcp" or "udp" in any case; ok is false if the text is
// anything else.
func ParseProtocol(text string) (p Protocol, ok bool) {
	switch {
	case strings.EqualFold(text, "tcp"):
		return TCP, true
	case strings.EqualFold(text, "udp"):
		return UDP, true
	}
	return 0, false
}

// Flags are the control bits of a TCP header's 14th octet (RFC 9293, 3.1).
type Flags uint8

// The flags a door can ask for. ECE and CWR are unknown to knockd 0.8.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// flagNames is in the order of the bits.
var flagNames = [...]string{"fin", "syn", "rst", "psh", "ack", "urg"}

// ParseFlag returns the flag that has the given name, in any case.
func ParseFlag(name string) (Flags, bool) {
	for i, n := range flagNames {
		if strings.EqualFold(n, name) {
			return 1 << i, true
		}
	}
	return 0, false
}

// String lists the flags by name, joined by commas.
func (f Flags) String() string {
	var names []string
	for i, n := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ",")
}

// FlagMatch is what a door's tcpflags ask of a TCP packet: every flag of Set
// is set and every flag of Clear is clear. The zero value takes any packet.
type FlagMatch struct {
	Set, Clear Flags
}

// String returns the match as the configuration writes it: "syn,!ack"; "" if it
// takes any packet.
func (m FlagMatch) String() string {
	var names []string
	for i, n := range flagNames {
		switch bit := Flags(1) << i; {
		case m.Set&bit != 0:
			names = append(names, n)
		case m.Clear&bit != 0:
			names = append(names, "!"+n)
		}
	}
	return strings.Join(names, ",")
}

// Add returns the match with one more mention of a flag; of several mentions
// of one flag the last counts, as in knockd 0.8.
func (m FlagMatch) Add(f Flags, set bool) FlagMatch {
	m.Set, m.Clear = m.Set&^f, m.Clear&^f
	if set {
		m.Set |= f
	} else {
		m.Clear |= f
	}
	return m
}

// Hit is a packet that could be a step, reduced to what decisions need. It is
// comparable. Its time is passed beside it.
type Hit struct {
	Src, Dst         netip.Addr // without zone
	SrcPort, DstPort uint16
	Proto            Protocol
	Flags            Flags  // TCP only
	Seq              uint32 // TCP only: the sequence number
	PayloadLen       int    // octets of the transport payload, by the headers
	IfIndex          int    // the interface it came in on, 0 if unknown
}

// satisfies reports whether the hit's flags meet m; UDP has none to meet.
func (h *Hit) satisfies(m FlagMatch) bool {
	return h.Proto != TCP || (h.Flags&m.Set == m.Set && h.Flags&m.Clear == 0)
}
