// Package packet turns the octets of an IP packet into a hit: who sent what to
// which port. Whatever is malformed, cut short or of another protocol is no
// packet to it; no input makes it panic.
package packet
