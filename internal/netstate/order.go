package netstate

import "encoding/binary"

// networkOrder returns n as it lies in memory in network byte order.
func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}
