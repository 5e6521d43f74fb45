package daemon

import (
	"fmt"
	"net/netip"

	"knockd/internal/config"
	"knockd/internal/netstate"
)

// AddressesOf returns the addresses that the named interfaces, or labels, have
// now; of all interfaces of the host for "any".
func AddressesOf(names []string) ([]netip.Addr, error) {
	state, err := netstate.Read()
	if err != nil {
		return nil, fmt.Errorf("read the network's state: %w", err)
	}
	var all []netip.Addr
	for _, name := range names {
		if name == config.AnyInterface {
			return state.Addrs(nil), nil
		}
		_, addrs, ok := state.Named(name)
		if !ok {
			return nil, fmt.Errorf("read the addresses of %s: no such network interface", name)
		}
		all = append(all, addrs...)
	}
	return all, nil
}
