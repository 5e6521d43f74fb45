package nettest

import "testing"

// The addresses of the host behind the box of a Site.
const (
	Inner4 = "10.9.0.2"
	Inner6 = "fd09::2"
)

// Site returns a client, a box beside it that forwards (see Pair), and a host
// behind the box, which knows the way back over IPv4 alone.
func Site(t testing.TB) (client, box, inner *Host) {
	t.Helper()
	client, box = Pair(t)
	inner = NewHost(t, "inner")
	Join(Cable{Host: box, Interface: "inside", Addresses: []string{"10.9.0.1/24", "fd09::1/64"}},
		Cable{Host: inner, Interface: "eth0", Addresses: []string{Inner4 + "/24", Inner6 + "/64"}})
	inner.Run("ip", "route", "add", "default", "via", "10.9.0.1")
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if err := box.Sysctl(name, "1"); err != nil {
			LacksKernel(t, "a /proc/sys that can be written: "+err.Error())
		}
	}
	return client, box, inner
}
