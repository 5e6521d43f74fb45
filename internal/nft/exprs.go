package nft

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
)

// The comment above each expression is its line in `nft --debug=netlink`.

// rule is one rule's expressions.
type rule []expr.Any

func verdict(kind expr.VerdictKind) expr.Any { return &expr.Verdict{Kind: kind} }

// loopback: iif "lo". Its index is 1 in every network namespace
// (include/net/flow.h, LOOPBACK_IFINDEX).
func loopback() rule {
	return rule{
		// [ meta load iif => reg 1 ]
		&expr.Meta{Key: expr.MetaKeyIIF, Register: 1},
		// [ cmp eq reg 1 0x00000001 ]
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(1)},
	}
}

// state: ct state BITS.
func state(bits uint32) rule {
	return rule{
		// [ ct load state => reg 1 ]
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		// [ bitwise reg 1 = ( reg 1 & 0x00000006 ) ^ 0x00000000 ]
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		// [ cmp neq reg 1 0x00000000 ]
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// beginsNothing: tcp flags & (fin | syn | rst | ack) != syn. Such a segment starts no
// connection: Linux, where something listens, answers it with RST or not at
// all.
func beginsNothing() rule {
	const mask = knock.FIN | knock.SYN | knock.RST | knock.ACK
	return rule{
		// [ meta load l4proto => reg 1 ]
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		// [ cmp eq reg 1 0x00000006 ]
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(knock.TCP)}},
		// [ payload load 1b @ transport header + 13 => reg 1 ]
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		// [ bitwise reg 1 = ( reg 1 & 0x00000017 ) ^ 0x00000000 ]
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{byte(mask)}, Xor: []byte{0}},
		// [ cmp neq reg 1 0x00000002 ]
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{byte(knock.SYN)}},
	}
}

// forwarded: fib daddr type != local.
func forwarded() rule {
	return rule{
		// [ fib daddr type => reg 1 ]
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		// [ cmp neq reg 1 0x00000002 ]
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

// protoPort loads meta l4proto . th dport.
func protoPort(first, second uint32) rule {
	return rule{
		// [ meta load l4proto => reg 1 ]
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: first},
		// [ payload load 2b @ transport header + 2 => reg 9 ]
		&expr.Payload{DestRegister: second, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	}
}

// portMap: meta l4proto . th dport vmap @NAME.
func portMap(name string) rule {
	return append(protoPort(1, 9),
		// [ lookup reg 1 set guard_ports dreg 0 ]
		&expr.Lookup{SourceRegister: 1, SetName: name, IsDestRegSet: true})
}

// source: ip saddr @SET, or what the set's key asks for.
func source(t *target) rule {
	second, third := uint32(9), uint32(10)
	if t.v6 {
		// An IPv6 address takes the four registers of 32 bits from 8 to 11.
		second, third = 2, 13
	}
	r := sourceAddr(t.v6, t.bits)
	if t.kind == keyAddrProtoPort {
		r = append(r, protoPort(second, third)...)
	}
	// [ lookup reg 1 set door4_ssh ]
	return append(r, &expr.Lookup{SourceRegister: 1, SetName: t.name})
}

// from: ip saddr NETWORK.
func from(p netip.Prefix) rule {
	r := sourceAddr(p.Addr().Is6(), p.Bits())
	// [ cmp eq reg 1 0x006433c6 ]
	return append(r, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: p.Masked().Addr().AsSlice()})
}

// sourceAddr loads the first bits of the source address, of packets of its IP
// version alone.
func sourceAddr(v6 bool, bits int) rule {
	family, offset, length := byte(unix.NFPROTO_IPV4), uint32(12), uint32(4)
	if v6 {
		family, offset, length = unix.NFPROTO_IPV6, 8, 16
	}
	r := rule{
		// [ meta load nfproto => reg 1 ]
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		// [ cmp eq reg 1 0x00000002 ]
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		// [ payload load 4b @ network header + 12 => reg 1 ]
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
	}
	if bits < int(length)*8 {
		// [ bitwise reg 1 = ( reg 1 & 0x00ffffff ) ^ 0x00000000 ]
		r = append(r, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: prefixMask(bits, int(length)), Xor: make([]byte, length)})
	}
	return r
}

// prefixMask returns the first bits of length octets set.
func prefixMask(bits, length int) []byte {
	mask := make([]byte, length)
	for i := range bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}

// setMark: meta mark set meta mark & ^MASK | VALUE, by way of a register.
func setMark(m knock.Mark, register uint32) rule {
	return rule{
		// [ meta load mark => reg 1 ]
		&expr.Meta{Key: expr.MetaKeyMARK, Register: register},
		// [ bitwise reg 1 = ( reg 1 & 0xffefffff ) ^ 0x00100000 ]
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(^m.Mask), Xor: binaryutil.NativeEndian.PutUint32(m.Value)},
		// [ meta set mark with reg 1 ]
		&expr.Meta{Key: expr.MetaKeyMARK, Register: register, SourceRegister: true},
	}
}

// The parts of a concatenated key begin at multiples of four octets.

// portKey returns the key inet_proto . inet_service.
func portKey(proto uint8, port uint16) []byte {
	return append([]byte{proto, 0, 0, 0}, portPart(port)...)
}

func portPart(port uint16) []byte { return append(binary.BigEndian.AppendUint16(nil, port), 0, 0) }

// key returns the key of an address, and of a port where the set wants it.
func (t *target) key(p netip.Prefix, proto uint8, port uint16) []byte {
	k := p.Addr().AsSlice()
	switch t.kind {
	case keyAddrPort:
		k = append(k, portPart(port)...)
	case keyAddrProtoPort:
		k = append(k, portKey(proto, port)...)
	}
	return k
}

// parseKey is the reverse of key; ok only if it has the right length.
func (t *target) parseKey(k []byte) (p netip.Prefix, proto uint8, port uint16, ok bool) {
	n := 4
	if t.v6 {
		n = 16
	}
	if len(k) != int(t.keyType().Bytes) {
		return netip.Prefix{}, 0, 0, false
	}
	a, _ := netip.AddrFromSlice(k[:n])
	p, rest := netip.PrefixFrom(a, t.bits), k[n:]
	switch t.kind {
	case keyAddrPort:
		port = binary.BigEndian.Uint16(rest)
	case keyAddrProtoPort:
		proto, port = rest[0], binary.BigEndian.Uint16(rest[4:])
	}
	return p, proto, port, true
}
