package spa

import (
	"knockd/internal/knock"
)

// The limits of a packet's payload, in octets, as fwknopd has them.
const (
	MinPayload = 140
	MaxPayload = 1500
)

// DefaultPort is the UDP port fwknop sends to.
const DefaultPort = 62201

func anyContains(ranges []knock.PortRange, p knock.Step) bool {
	for _, r := range ranges {
		if r.Has(p) {
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

// FirstOctet reports whether a packet can begin with this octet.
func FirstOctet(c byte) bool {
	return c == '8' || c == '9' || c == '+' || c == '/'
}

var base64Char = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" {
		t[c] = true
	}
	return t
}()
