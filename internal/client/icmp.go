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
	never := func([]byte) (Reply, bool) { return Reply{}, false } // nobody answers a reply
	note := Sent{What: octets("icmp echo reply", len(packet)), From: addrPort(conn.LocalAddr()), To: netip.AddrPortFrom(to.Addr(), 0)}
	return s.write(conn, note, marshalEchoReply(packet), never)
}

// marshalEchoReply returns a message of type 0 and code 0, without identifier
// and sequence number.
func marshalEchoReply(data []byte) []byte {
	m := append(make([]byte, 8), data...)
	binary.BigEndian.PutUint16(m[2:], checksum(0, m))
	return m
}
