package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"

	"knockd/internal/knock"
)

// A RawError says that segments made by hand cannot be sent: without
// permission, or at all on this system.
type RawError struct{ Err error }

// Error says so.
func (e *RawError) Error() string { return fmt.Sprintf("raw socket: %v", e.Err) }

// Unwrap returns the cause.
func (e *RawError) Unwrap() error { return e.Err }

// errNoRawTCP: Windows takes no TCP segments from programs (Microsoft, "TCP/IP
// Raw Sockets").
var errNoRawTCP = fmt.Errorf("windows forbids programs to send TCP segments")

// segment sends one TCP segment with the sender's flags and data from a random
// port.
func (s *Sender) segment(ctx context.Context, to netip.AddrPort, data []byte) error {
	if runtime.GOOS == "windows" {
		return &RawError{errNoRawTCP}
	}
	network := "ip6:tcp"
	if to.Addr().Is4() {
		network = "ip4:tcp"
	}
	conn, err := s.dialer("ip").DialContext(ctx, network, to.Addr().String())
	if err != nil {
		return &RawError{withoutAddress(err)}
	}
	from := addrPort(conn.LocalAddr()).Addr()
	packet := marshalSegment(from, to, s.Flags, data)
	what := "tcp " + s.Flags.String()
	if len(data) > 0 {
		what = octets(what, len(data))
	}
	port := binary.BigEndian.Uint16(packet)
	note := Sent{What: what, From: netip.AddrPortFrom(from, port), To: to}
	return s.write(conn, note, packet, func(answer []byte) (Reply, bool) {
		if to.Addr().Is4() {
			answer = withoutIPv4(answer)
		}
		return segmentReply(packet, answer)
	})
}

// withoutIPv4 takes away the header of IPv4, which sockets of it show.
func withoutIPv4(packet []byte) []byte {
	if len(packet) == 0 {
		return nil
	}
	return packet[min(int(packet[0]&0x0f)*4, len(packet)):]
}

// segmentReply is what a segment that has come from the host says to the one that
// was sent; false if it belongs to something else.
func segmentReply(sent, came []byte) (Reply, bool) {
	if len(came) < 20 || [2]byte(came[0:2]) != [2]byte(sent[2:4]) || [2]byte(came[2:4]) != [2]byte(sent[0:2]) {
		return Reply{}, false
	}
	switch flags := knock.Flags(came[13]); {
	case flags&knock.RST != 0:
		return Reply{Kind: Reset}, true
	case flags&knock.SYN != 0:
		return Reply{Kind: Accepted}, true
	}
	return Reply{Kind: Data, Octets: len(came)}, true
}

// marshalSegment returns a TCP header (RFC 9293, 3.1) without options, and data.
// Source port and sequence number are random, so that no server takes it for
// a repeat of an earlier one.
func marshalSegment(from netip.Addr, to netip.AddrPort, flags knock.Flags, data []byte) []byte {
	var random [6]byte
	rand.Read(random[:])
	h := make([]byte, 20)
	// From the range for such ports (RFC 6335, 6): 49152-65535.
	binary.BigEndian.PutUint16(h[0:], 0xc000|binary.BigEndian.Uint16(random[4:]))
	binary.BigEndian.PutUint16(h[2:], to.Port())
	copy(h[4:8], random[:4])
	h[12] = 5 << 4 // header length in 32-bit words
	h[13] = byte(flags)
	binary.BigEndian.PutUint16(h[14:], 64240) // window
	h = append(h, data...)
	pseudo := uint32(knock.TCP) + uint32(len(h))
	binary.BigEndian.PutUint16(h[16:], checksum(pseudo, from.AsSlice(), to.Addr().AsSlice(), h))
	return h
}

// checksum returns that of IP and its protocols (RFC 1071) over parts, of which
// only the last may have an odd length; TCP has a pseudo header before it (RFC
// 9293, 3.1; RFC 8200, 8.1), whose numbers are the sum to begin with. The field
// for the checksum itself is still zero.
func checksum(sum uint32, parts ...[]byte) uint16 {
	for _, part := range parts {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
		if len(part)%2 == 1 {
			sum += uint32(part[len(part)-1]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
