package daemon

import (
	"fmt"
	"net/netip"

	"knockd/internal/config"
	"knockd/internal/netstate"
)

// AddressesOf returns the addresses that the named interfaces have now; of
// all interfaces of the host for "any".
func AddressesOf(names []string) ([]netip.Addr, error) {
	state, err := netstate.Read()
	if err != nil {
		return nil, fmt.Errorf("read the network's state: %w", err)
	}
	indexes := []int{}
	for _, name := range names {
		if name == config.AnyInterface {
			return state.Addrs(nil), nil
		}
		i, ok := state.ByName(name)
		if !ok {
			return nil, fmt.Errorf("read the addresses of %s: no such network interface", name)
		}
		indexes = append(indexes, i.Index)
	}
	return state.Addrs(indexes), nil
}
