package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
)

// The parts of STUN (RFC 8489) that a binding request needs.
const (
	stunPort            = "3478"
	stunCookie   uint32 = 0x2112A442
	stunRequest         = 0x0001
	stunSuccess         = 0x0101
	stunHeader          = 20
	stunMapped          = 0x0001
	stunXORed           = 0x0020
	stunFirst           = 500 * time.Millisecond // until the request is repeated; doubled each time
	stunMessages        = 1500
)

var errNoSTUN = errors.New("no answer")

// stunAddress sends a binding request and returns the address that the server
// sees. The request is repeated until the context ends.
func stunAddress(ctx context.Context, server string, v4 bool) (netip.Addr, error) {
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(strings.Trim(server, "[]"), stunPort)
	}
	conn, err := dialName(ctx, "udp", server, version(v4))
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var request [stunHeader]byte
	binary.BigEndian.PutUint16(request[0:], stunRequest)
	binary.BigEndian.PutUint32(request[4:], stunCookie)
	rand.Read(request[8:]) // never fails
	for wait := stunFirst; ctx.Err() == nil; wait *= 2 {
		if _, err := conn.Write(request[:]); err != nil {
			return netip.Addr{}, withoutAddress(err)
		}
		a, err := stunAnswer(ctx, conn, request, time.Now().Add(wait))
		if err == nil || !errors.Is(err, errNoSTUN) {
			return a, err
		}
	}
	return netip.Addr{}, errNoSTUN
}

// stunAnswer waits for the answer to a request; others are passed over.
func stunAnswer(ctx context.Context, conn net.Conn, request [stunHeader]byte, until time.Time) (netip.Addr, error) {
	conn.SetReadDeadline(until)
	buf := make([]byte, stunMessages)
	for ctx.Err() == nil {
		n, err := conn.Read(buf)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return netip.Addr{}, errNoSTUN
		}
		if err != nil {
			return netip.Addr{}, withoutAddress(err)
		}
		if a, ok := parseSTUN(buf[:n], request); ok {
			return a, nil
		}
	}
	return netip.Addr{}, errNoSTUN
}

// parseSTUN reads the address in the answer to a request. The newer attribute
// counts before the older, which some routers change on the way.
func parseSTUN(b []byte, request [stunHeader]byte) (found netip.Addr, ok bool) {
	if len(b) < stunHeader || binary.BigEndian.Uint16(b) != stunSuccess || string(b[4:stunHeader]) != string(request[4:]) {
		return found, false
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	if rest := b[stunHeader:]; len(rest) < length {
		return found, false
	}
	for rest := b[stunHeader : stunHeader+length]; len(rest) >= 4; {
		kind, size := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		if len(rest) < 4+size {
			return found, ok
		}
		value := rest[4 : 4+size]
		rest = rest[min(len(rest), 4+(size+3)/4*4):]
		switch kind {
		case stunXORed:
			if a, good := stunValue(value, request[4:]); good {
				return a, true
			}
		case stunMapped:
			if a, good := stunValue(value, make([]byte, 16)); good && !ok {
				found, ok = a, true
			}
		}
	}
	return found, ok
}

// stunValue reads a family and an address, each octet of which was XORed.
func stunValue(v, mask []byte) (netip.Addr, bool) {
	n := map[int]int{0x01: 4, 0x02: 16}
	if len(v) < 4 || n[int(v[1])] == 0 || len(v) != 4+n[int(v[1])] {
		return netip.Addr{}, false
	}
	raw := make([]byte, n[int(v[1])])
	for i := range raw {
		raw[i] = v[4+i] ^ mask[i]
	}
	a, ok := netip.AddrFromSlice(raw)
	return a.Unmap(), ok
}
