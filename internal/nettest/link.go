package nettest

import (
	"net"
	"strings"
	"testing"
	"time"
)

// Cable is one end of a link: an interface and its addresses, in the form
// "192.0.2.1/24".
type Cable struct {
	Host      *Host
	Interface string
	Addresses []string
}

// Join lays a cable between two hosts: a pair of virtual Ethernet interfaces,
// up and with their addresses usable on return.
func Join(a, b Cable) {
	a.Host.t.Helper()
	a.Host.Run("ip", "link", "add", "name", a.Interface, "type", "veth",
		"peer", "name", b.Interface, "netns", b.Host.Path())
	for _, c := range []Cable{a, b} {
		for _, addr := range c.Addresses {
			c.Host.AddAddress(c.Interface, addr)
		}
		c.Host.Run("ip", "link", "set", c.Interface, "up")
	}
	a.Host.awaitAddresses(a.Interface)
	b.Host.awaitAddresses(b.Interface)
}

// awaitAddresses waits until the kernel has finished an interface's IPv6
// addresses: it does so in the background, and what is sent before is lost.
func (h *Host) awaitAddresses(ifname string) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		out, err := h.Try("ip", "-6", "address", "show", "dev", ifname)
		if err != nil || out == "" || strings.Contains(out, "fe80:") && !strings.Contains(out, "tentative") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// AddAddress gives an interface one more address, usable at once.
func (h *Host) AddAddress(ifname, addr string) {
	h.t.Helper()
	h.Run("ip", "address", "add", addr, "dev", ifname, "nodad")
}

// The addresses of the two hosts that Pair makes.
const (
	Client4 = "10.7.0.1"
	Server4 = "10.7.0.2"
	Client6 = "fd07::1"
	Server6 = "fd07::2"
)

// Pair makes a client and a server joined by a cable that is eth0 on both
// sides, with the addresses Client4 and so on.
func Pair(t testing.TB) (client, server *Host) {
	t.Helper()
	client, server = NewHost(t, "client"), NewHost(t, "server")
	Wire(client, server, "eth0")
	return client, server
}

// Wire lays the cable of a Pair, from eth0 of the client to an interface of the
// server.
func Wire(client, server *Host, name string) {
	Join(Cable{client, "eth0", []string{Client4 + "/24", Client6 + "/64"}},
		Cable{server, name, []string{Server4 + "/24", Server6 + "/64"}})
}

// Hardware returns an interface's hardware address.
func (h *Host) Hardware(ifname string) net.HardwareAddr {
	h.t.Helper()
	var i *net.Interface
	if err := h.Do(func() (err error) {
		i, err = net.InterfaceByName(ifname)
		return err
	}); err != nil {
		h.t.Fatalf("nettest: interface %s of %s: %v", ifname, h.Name, err)
	}
	return i.HardwareAddr
}
