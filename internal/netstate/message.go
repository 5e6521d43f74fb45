package netstate

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// apply enters a notification, or a message of a dump, into the table. What
// cannot be read is passed over, as a kernel of the future may send it.
func (t *table) apply(m netlink.Message) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK:
		if i, ok := decodeLink(m.Data); ok {
			t.links[i.Index] = i
		}
	case unix.RTM_DELLINK:
		if i, ok := decodeLink(m.Data); ok {
			t.removeLink(i.Index)
		}
	case unix.RTM_NEWADDR:
		if index, a, label, ok := decodeAddr(m.Data); ok {
			t.addAddr(index, a, label)
		}
	case unix.RTM_DELADDR:
		if index, a, _, ok := decodeAddr(m.Data); ok {
			t.removeAddr(index, a)
		}
	}
}

// decodeLink reads struct ifinfomsg and its attributes.
func decodeLink(data []byte) (i Interface, ok bool) {
	if len(data) < unix.SizeofIfInfomsg {
		return i, false
	}
	// With a family, it is about a bridge's port or about IPv6 settings, and
	// "deleted" does not mean the interface.
	if data[0] != unix.AF_UNSPEC {
		return i, false
	}
	i.Index = int(int32(binary.NativeEndian.Uint32(data[4:])))
	flags := binary.NativeEndian.Uint32(data[8:])
	i.Up, i.Loopback = flags&unix.IFF_UP != 0, flags&unix.IFF_LOOPBACK != 0
	ad, err := netlink.NewAttributeDecoder(data[unix.SizeofIfInfomsg:])
	if err != nil {
		return i, false
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			i.Name = ad.String()
		case unix.IFLA_PROP_LIST:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == unix.IFLA_ALT_IFNAME {
						i.AltNames = append(i.AltNames, ad.String())
					}
				}
				return nil
			})
		}
	}
	slices.Sort(i.AltNames)
	return i, ad.Err() == nil && i.Index > 0
}

// decodeAddr reads struct ifaddrmsg and its attributes. On a point-to-point
// link IFA_ADDRESS is the other end's, IFA_LOCAL ours; IPv6 has no IFA_LOCAL
// but there.
func decodeAddr(data []byte) (index int, a netip.Addr, label string, ok bool) {
	if len(data) < unix.SizeofIfAddrmsg {
		return 0, a, "", false
	}
	ad, err := netlink.NewAttributeDecoder(data[unix.SizeofIfAddrmsg:])
	if err != nil {
		return 0, a, "", false
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFA_LOCAL:
			a, ok = netip.AddrFromSlice(ad.Bytes())
		case unix.IFA_ADDRESS:
			if !a.IsValid() {
				a, ok = netip.AddrFromSlice(ad.Bytes())
			}
		case unix.IFA_LABEL:
			label = ad.String()
		}
	}
	return int(binary.NativeEndian.Uint32(data[4:])), a, label, ok && ad.Err() == nil
}

// defaultRoute is a default route.
type defaultRoute struct {
	index  int // of its interface, 0 for no route
	metric uint32
}

// decodeDefault reads struct rtmsg and its attributes, if it is about a
// default route of the main table that can be used.
func decodeDefault(data []byte) (r defaultRoute, ok bool) {
	// family, dst_len, src_len, tos, table, protocol, scope, type, flags
	if len(data) < unix.SizeofRtMsg || data[1] != 0 || data[2] != 0 ||
		data[4] != unix.RT_TABLE_MAIN || data[7] != unix.RTN_UNICAST ||
		binary.NativeEndian.Uint32(data[8:])&unix.RTNH_F_DEAD != 0 {
		return r, false
	}
	ad, err := netlink.NewAttributeDecoder(data[unix.SizeofRtMsg:])
	if err != nil {
		return r, false
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.RTA_OIF:
			r.index = int(ad.Uint32())
		case unix.RTA_PRIORITY:
			r.metric = ad.Uint32()
		case unix.RTA_MULTIPATH:
			// struct rtnexthop: the first of several ways.
			if b := ad.Bytes(); len(b) >= unix.SizeofRtNexthop && r.index == 0 {
				r.index = int(binary.NativeEndian.Uint32(b[4:]))
			}
		}
	}
	return r, ad.Err() == nil && r.index > 0
}
