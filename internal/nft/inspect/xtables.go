package inspect

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
)

// xtMatch evaluates a match of iptables-nft that has no expression of its own.
func xtMatch(p packet, e *expr.Match, m *matching) certainty {
	switch info := e.Info.(type) {
	case *xt.Comment:
		return yes
	case *xt.Tcp:
		m.port = true
		return boolean(p.proto == knock.TCP).and(ports16(p, info.DstPorts)).and(limited(info.SrcPorts)).and(plain(uint8(info.InvFlags) | info.FlagsMask))
	case *xt.Udp:
		m.port = true
		return boolean(p.proto == knock.UDP).and(ports16(p, info.DstPorts)).and(limited(info.SrcPorts)).and(plain(uint8(info.InvFlags)))
	case *xt.ConntrackMtinfo1:
		return stateOf(p, info.ConntrackMtinfoBase, uint16(info.StateMask))
	case *xt.ConntrackMtinfo2:
		return stateOf(p, info.ConntrackMtinfoBase, info.StateMask)
	case *xt.ConntrackMtinfo3:
		return stateOf(p, info.ConntrackMtinfoBase, info.StateMask)
	case *xt.AddrType:
		return destination(info.Source, info.Dest, info.InvertDest)
	case *xt.AddrTypeV1:
		if info.Flags&^invertDest != 0 {
			return maybe // limited to an interface, or about the source
		}
		return destination(info.Source, info.Dest, info.Flags&invertDest != 0)
	case *xt.Unknown:
		return xtUnknown(p, e.Name, []byte(*info), m)
	}
	return maybe
}

func (t certainty) and(other certainty) certainty { return min(t, other) }

func ports16(p packet, r [2]uint16) certainty { return boolean(r[0] <= p.port && p.port <= r[1]) }

// limited returns yes if any source port will do.
func limited(r [2]uint16) certainty {
	if r == [2]uint16{0, 65535} {
		return yes
	}
	return maybe
}

// plain returns maybe if flags ask for something that is not followed.
func plain(flags uint8) certainty {
	if flags == 0 {
		return yes
	}
	return maybe
}

// stateOf: -m conntrack --ctstate (linux/netfilter/xt_conntrack.h).
func stateOf(p packet, info xt.ConntrackMtinfoBase, mask uint16) certainty {
	const stateFlag, stateEstablished, stateNew = 1 << 0, 1 << 1, 1 << 3
	if info.MatchFlags&^0x2000 != stateFlag { // 0x2000: --state was written
		return maybe
	}
	state := uint16(stateNew)
	if p.established {
		state = stateEstablished
	}
	return boolean((mask&state != 0) != (info.InvertFlags&stateFlag != 0))
}

// invertDest is XT_ADDRTYPE_INVERT_DEST.
const invertDest = 0x2

// destination: -m addrtype --dst-type (linux/netfilter/xt_addrtype.h). The
// packet is for the host itself.
func destination(source, dest uint16, invert bool) certainty {
	if source != 0 {
		return maybe
	}
	return boolean((dest&(1<<unix.RTN_LOCAL) != 0) != invert)
}

func xtUnknown(p packet, name string, b []byte, m *matching) certainty {
	switch {
	case name == "mark" && len(b) >= 9:
		// struct xt_mark_mtinfo1 { __u32 mark, mask; __u8 invert; }
		mark, mask := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[4:])
		m.port = m.port || p.opened != nil
		return boolean((p.mark&mask == mark) != (b[8] != 0))
	case name == "multiport" && len(b) >= 48:
		return multiport(p, b, m)
	}
	m.source = m.source || slices.Contains([]string{"geoip", "iprange", "mac", "recent", "set"}, name)
	return maybe
}

// multiport: struct xt_multiport_v1 { __u8 flags, count; __u16 ports[15];
// __u8 pflags[15], invert; }; pflags mark the first port of a range.
func multiport(p packet, b []byte, m *matching) certainty {
	const source = 0
	if b[0] == source {
		return maybe
	}
	m.port = true
	found := false
	count := min(int(b[1]), 15)
	for i := 0; i < count; i++ {
		first := binary.NativeEndian.Uint16(b[2+2*i:])
		last := first
		if b[32+i] != 0 && i+1 < count {
			i++
			last = binary.NativeEndian.Uint16(b[2+2*i:])
		}
		found = found || first <= p.port && p.port <= last
	}
	return boolean(found != (b[47] != 0))
}
