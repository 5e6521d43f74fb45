package netstate

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Route is how packets to an address leave this host.
type Route struct {
	Index   int  // of the interface
	Default bool // over the interface of the default route of that IP version
}

// RouteTo asks the kernel for the route to an address. That there is none is an
// error for which errors.Is(err, unix.ENETUNREACH) holds, or a like one.
func RouteTo(a netip.Addr) (Route, error) {
	q, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return Route{}, fmt.Errorf("ask for the way to %v: %w", a, err)
	}
	defer q.Close()
	index, err := queryRoute(q, a)
	if err != nil {
		return Route{}, fmt.Errorf("ask for the way to %v: %w", a, err)
	}
	def, err := defaultOf(q, family(a))
	if err != nil {
		return Route{}, fmt.Errorf("read the default route: %w", err)
	}
	return Route{index, def.index == index}, nil
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// queryRoute is `ip route get`: RTM_GETROUTE with RTA_DST.
func queryRoute(q *netlink.Conn, a netip.Addr) (index int, err error) {
	ae := netlink.NewAttributeEncoder()
	ae.Bytes(unix.RTA_DST, a.AsSlice())
	attributes, err := ae.Encode()
	if err != nil {
		return 0, err
	}
	data := make([]byte, unix.SizeofRtMsg)
	data[0], data[1] = family(a), byte(a.BitLen())
	messages, err := q.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETROUTE, Flags: netlink.Request},
		Data:   append(data, attributes...),
	})
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		if index = interfaceOf(m.Data); index > 0 {
			return index, nil
		}
	}
	return 0, unix.ENETUNREACH
}

// interfaceOf reads RTA_OIF behind struct rtmsg, 0 if there is none.
func interfaceOf(data []byte) (index int) {
	if len(data) < unix.SizeofRtMsg || data[7] != unix.RTN_UNICAST && data[7] != unix.RTN_LOCAL {
		return 0
	}
	ad, err := netlink.NewAttributeDecoder(data[unix.SizeofRtMsg:])
	if err != nil {
		return 0
	}
	for ad.Next() {
		if ad.Type() == unix.RTA_OIF && len(ad.Bytes()) == 4 {
			index = int(binary.NativeEndian.Uint32(ad.Bytes()))
		}
	}
	return index
}
