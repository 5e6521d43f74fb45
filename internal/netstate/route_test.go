package netstate

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

// TestRouteTo: a network on a cable, the rest of the world over another, and
// what there is no way to.
func TestRouteTo(t *testing.T) {
	box, near, far := nettest.NewHost(t, "box"), nettest.NewHost(t, "near"), nettest.NewHost(t, "far")
	nettest.Join(nettest.Cable{Host: box, Interface: "inside", Addresses: []string{"10.9.0.1/24", "fd09::1/64"}},
		nettest.Cable{Host: near, Interface: "eth0"})
	nettest.Join(nettest.Cable{Host: box, Interface: "outside", Addresses: []string{"10.7.0.2/24"}},
		nettest.Cable{Host: far, Interface: "eth0"})
	box.Run("ip", "route", "add", "default", "via", "10.7.0.1")
	for to, isDefault := range map[string]bool{"10.9.0.2": false, "fd09::2": false, "10.7.0.9": true, "192.0.2.1": true} {
		var route Route
		err := box.Do(func() (err error) { route, err = RouteTo(netip.MustParseAddr(to)); return err })
		if err != nil || route.Index == 0 || route.Default != isDefault {
			t.Errorf("%s: %+v, %v", to, route, err)
		}
	}
	err := box.Do(func() error { _, err := RouteTo(netip.MustParseAddr("2001:db8::1")); return err })
	if !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("no route: %v", err)
	}
}
