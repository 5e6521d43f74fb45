package nft

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
)

// natSuffix is what the table's name has behind that of the other.
const natSuffix = "_nat"

// NATTable returns the table for mode NAT beside another.
func NATTable(t knock.Table) knock.Table {
	return knock.Table{Family: t.Family, Name: t.Name + natSuffix}
}

// masquerade: meta mark & 0x100000 == 0x100000 ip daddr 10.0.0.0/24
// meta l4proto tcp th dport 22-23 masquerade.
func (m *model) masquerade(t knock.NATTarget) rule {
	a := t.Net.Masked().Addr()
	family, offset, length := byte(unix.NFPROTO_IPV4), uint32(16), uint32(4)
	if a.Is6() {
		family, offset, length = unix.NFPROTO_IPV6, 24, 16
	}
	r := append(hasMark(m.opt.Mark),
		// [ meta load nfproto => reg 1 ]
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		// [ cmp eq reg 1 0x00000002 ]
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		// [ payload load 4b @ network header + 16 => reg 1 ]
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		// [ bitwise reg 1 = ( reg 1 & 0x00ffffff ) ^ 0x00000000 ]
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: prefixMask(t.Net.Bits(), int(length)), Xor: make([]byte, length)},
		// [ cmp eq reg 1 0x0000000a ]
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: a.AsSlice()},
		// [ meta load l4proto => reg 1 ]
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		// [ cmp eq reg 1 0x00000006 ]
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(t.Ports.Proto)}},
		// [ payload load 2b @ transport header + 2 => reg 1 ]
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	)
	first, last := binary.BigEndian.AppendUint16(nil, t.Ports.First), binary.BigEndian.AppendUint16(nil, t.Ports.Last)
	if t.Ports.First == t.Ports.Last {
		// [ cmp eq reg 1 0x00001600 ]
		r = append(r, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: first})
	} else {
		// [ range eq reg 1 0x00001600 0x00001700 ]
		r = append(r, &expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: first, ToData: last})
	}
	// [ masq ]
	return append(r, &expr.Masq{})
}

// hasMark: meta mark & MASK == VALUE.
func hasMark(m knock.Mark) rule {
	return rule{
		// [ meta load mark => reg 1 ]
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		// [ bitwise reg 1 = ( reg 1 & 0x00100000 ) ^ 0x00000000 ]
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(m.Mask), Xor: make([]byte, 4)},
		// [ cmp eq reg 1 0x00100000 ]
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(m.Value)},
	}
}

// translation: ip saddr . meta l4proto . th dport @nat4_ssh
// meta mark set meta mark | 0x100000
// dnat ip to ip saddr . meta l4proto . th dport map @nat4_ssh.
//
// A rule ends at a lookup that finds nothing. The first one is there for those
// who read or save the rules as text, where the mark would seem to be set
// before the other; oneLookup leaves it out.
func translation(t *target, m knock.Mark, oneLookup bool) rule {
	key := source(t)
	lookup := len(key) - 1
	asked := rule{}
	if !oneLookup {
		asked = append(source(t), setMark(m, 1)...)
		key = key[2:] // the IP version is known
		lookup -= 2
	}
	family, port := uint32(unix.NFPROTO_IPV4), uint32(9)
	if t.v6 {
		family, port = unix.NFPROTO_IPV6, 2
	}
	// [ lookup reg 1 set nat4_ssh dreg 1 ]
	key[lookup] = &expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true, SetName: t.name}
	// [ nat dnat ip addr_min reg 1 proto_min reg 9 ]
	nat := &expr.NAT{Type: expr.NATTypeDestNAT, Family: family, RegAddrMin: 1, RegAddrMax: 1, RegProtoMin: port, RegProtoMax: port, Specified: true}
	if oneLookup {
		key = append(key, setMark(m, 4)...)
	}
	return append(append(asked, key...), nat)
}

// dataType returns what the elements of a map of NAT lead to.
func (t *target) dataType() nftables.SetDatatype {
	switch {
	case !t.nat:
		return nftables.SetDatatype{}
	case t.v6:
		return nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeInetService)
	}
	return nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)
}

// parseValue reads what an element of a map of NAT leads to.
func (t *target) parseValue(v []byte) (netip.AddrPort, bool) {
	n := 4
	if t.v6 {
		n = 16
	}
	if len(v) < n+2 {
		return netip.AddrPort{}, false
	}
	a, _ := netip.AddrFromSlice(v[:n])
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(v[n:])), true
}

// value returns what the element of an opening leads to, nil if it is none of
// NAT.
func (k openingKey) value() []byte {
	if !k.to.IsValid() {
		return nil
	}
	return append(k.to.Addr().AsSlice(), portPart(k.to.Port())...)
}

// element returns one of the elements of an opening as it is to be added.
func (k openingKey) element(e setKey, timeout time.Duration) nftables.SetElement {
	return nftables.SetElement{Key: []byte(e.key), Val: k.value(), Timeout: timeout}
}

// marked is element with the comment that sets of others need.
func (f *Firewall) marked(k openingKey, e setKey, timeout time.Duration) nftables.SetElement {
	m := k.element(e, timeout)
	m.Comment = f.comment(k.id)
	return m
}

// validTarget reports whether NAT can lead connections from an address there.
func validTarget(to netip.AddrPort, from netip.Addr) bool {
	return to.IsValid() && to.Port() != 0 && to.Addr().Is4() == from.Is4()
}

// batchSize returns how many openings go into one transaction. Those of NAT go
// one by one, since one may take another's place.
func (f *Firewall) batchSize() int {
	if f.opt.Mode.translates {
		return 1
	}
	return maxBatch
}

// displace ends openings whose port is to lead elsewhere from now on: those of
// the same door, and of the others, of which only the first would be asked.
func (f *Firewall) displace(all []*request) error {
	if !f.opt.Mode.translates || len(all) == 0 {
		return nil
	}
	r := all[0]
	var old []openingKey
	for k := range f.record.until {
		if k.prefix.Overlaps(r.key.prefix) && k.proto == r.key.proto && k.port == r.key.port && k != r.key {
			old = append(old, k)
		}
	}
	if len(old) == 0 {
		return nil
	}
	_, err := f.closeOpenings(old)
	return err
}
