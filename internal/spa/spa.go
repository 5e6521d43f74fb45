package spa

import (
	"strconv"

	"knockd/internal/knock"
)

// The limits of a packet's payload, in octets, as fwknopd has them.
const (
	MinPayload = 140
	MaxPayload = 1500
)

// DefaultPort is the UDP port fwknop sends to.
const DefaultPort = 62201

// Port is a port that a message asks for.
type Port struct {
	Proto  knock.Protocol
	Number uint16 // 1-65535
}

// String returns the port as fwknop writes it: "tcp/22".
func (p Port) String() string {
	return p.Proto.String() + "/" + strconv.Itoa(int(p.Number))
}

// PortRange is the ports First to Last of a protocol, both included.
type PortRange struct {
	Proto       knock.Protocol
	First, Last uint16
}

// Contains says whether the range holds the port.
func (r PortRange) Contains(p Port) bool {
	return r.Proto == p.Proto && r.First <= p.Number && p.Number <= r.Last
}

func anyContains(ranges []PortRange, p Port) bool {
	for _, r := range ranges {
		if r.Contains(p) {
			return true
		}
	}
	return false
}

// plausible makes the tests that cost next to nothing: what fails here is not a
// packet of ours, whatever the keys. The first character carries the last four
// bits of "Salted__", so it is one of four.
func plausible(payload []byte) bool {
	if len(payload) < MinPayload || len(payload) > MaxPayload || !FirstOctet(payload[0]) {
		return false
	}
	for _, c := range payload {
		if !base64Char[c] {
			return false
		}
	}
	return true
}

// FirstOctets are those that a packet can begin with; a kernel filter may ask
// for them too.
const FirstOctets = "89+/"

// FirstOctet says whether a packet can begin with this octet.
func FirstOctet(c byte) bool {
	return c == '8' || c == '9' || c == '+' || c == '/'
}

var base64Char = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" {
		t[c] = true
	}
	return t
}()
