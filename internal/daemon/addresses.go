package daemon

import (
	"fmt"
	"net"
	"net/netip"

	"knockd/internal/config"
)

// AddressesOf returns the addresses that the named interfaces have now; of
// all interfaces of the host for "any".
func AddressesOf(names []string) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, name := range names {
		addrs, err := addressesOf(name)
		if err != nil {
			return nil, fmt.Errorf("read the addresses of %s: %w", name, err)
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				all = append(all, p.Addr())
			}
		}
	}
	return all, nil
}

func addressesOf(name string) ([]net.Addr, error) {
	if name == config.AnyInterface {
		return net.InterfaceAddrs()
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	return i.Addrs()
}
