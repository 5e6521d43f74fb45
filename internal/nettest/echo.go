package nettest

import (
	"io"
	"net"
)

// EchoTCP serves TCP on an address of the host, sending back what comes in,
// until the test ends. It returns the address listened on.
func (h *Host) EchoTCP(address string) string {
	h.t.Helper()
	var l net.Listener
	err := h.Do(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		h.t.Fatalf("nettest: listen on %s: %v", h.Name, err)
	}
	h.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// EchoUDP is EchoTCP for datagrams.
func (h *Host) EchoUDP(address string) string {
	h.t.Helper()
	var c net.PacketConn
	err := h.Do(func() (err error) {
		c, err = net.ListenPacket("udp", address)
		return err
	})
	if err != nil {
		h.t.Fatalf("nettest: listen on %s: %v", h.Name, err)
	}
	h.t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			c.WriteTo(buf[:n], from)
		}
	}()
	return c.LocalAddr().String()
}
