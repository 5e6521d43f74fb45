package client

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Route says how packets leave this machine, where that is not left to the
// kernel.
type Route struct {
	Source    netip.Addr // the zero Addr: the kernel chooses
	Interface string     // empty: the kernel chooses

	// Watch takes note of what is sent to open a door, and of what comes back; nil:
	// nobody does.
	Watch *Watcher
}

// SourceError says that the source address cannot reach a destination of the
// other family.
type SourceError struct{ Source, Host netip.Addr }

// Error says so.
func (e *SourceError) Error() string {
	return fmt.Sprintf("source address %s: not of the same family as %s", e.Source, e.Host)
}

// check tells what no socket call would tell clearly.
func (r Route) check(host netip.Addr) error {
	if r.Source.IsValid() && r.Source.Unmap().Is4() != host.Is4() {
		return &SourceError{r.Source, host}
	}
	return nil
}

// dialer returns a dialer whose sockets take the route. The network is tcp,
// udp or ip.
func (r Route) dialer(network string) *net.Dialer {
	d := &net.Dialer{}
	if r.Source.IsValid() {
		d.LocalAddr = localAddr(network, r.Source)
	}
	if r.Interface == "" && r.Watch == nil {
		return d
	}
	d.Control = func(network, address string, c syscall.RawConn) (err error) {
		if r.Watch != nil {
			err = watchControl(network, address, c)
		}
		if r.Interface == "" || err != nil {
			return err
		}
		cerr := c.Control(func(fd uintptr) { err = bindInterface(fd, network, r.Interface) })
		if cerr != nil {
			return cerr
		}
		return err
	}
	return d
}

// localAddr gives an address the type that net.Dialer wants for the network.
func localAddr(network string, addr netip.Addr) net.Addr {
	ip, zone := net.IP(addr.AsSlice()), addr.Zone()
	switch network {
	case "tcp":
		return &net.TCPAddr{IP: ip, Zone: zone}
	case "udp":
		return &net.UDPAddr{IP: ip, Zone: zone}
	}
	return &net.IPAddr{IP: ip, Zone: zone}
}
