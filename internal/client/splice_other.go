//go:build !linux

package client

import (
	"io"
	"net"
)

// spliceIn does nothing: only Linux moves data inside the kernel.
func spliceIn(net.Conn, io.Reader) (done bool, err error) { return false, nil }

// spliceOut does nothing.
func spliceOut(io.Writer, net.Conn) (done bool, err error) { return false, nil }
