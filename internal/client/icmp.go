package client

import (
	"context"
	"encoding/binary"
	"net/netip"
)

// spaICMP sends the packet behind the header of an echo reply (RFC 792), as
// fwknop does, over IPv4: a type that nobody answers. That takes the privilege for raw
// sockets.
func (s *SPA) spaICMP(ctx context.Context, to netip.AddrPort, packet []byte) error {
	conn, err := s.dialer("ip").DialContext(ctx, "ip4:icmp", to.Addr().String())
	if err != nil {
		return &RawError{withoutAddress(err)}
	}
	defer conn.Close()
	_, err = conn.Write(marshalEchoReply(packet))
	return withoutAddress(err)
}

// marshalEchoReply returns a message of type 0 and code 0, without identifier
// and sequence number.
func marshalEchoReply(data []byte) []byte {
	m := append(make([]byte, 8), data...)
	binary.BigEndian.PutUint16(m[2:], checksum(0, m))
	return m
}
