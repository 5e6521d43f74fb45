package livetest

import (
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// TestBridge: a bridge shows what came in at its port once more.
func TestBridge(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"any", "br0", "eth0,br0"} {
		t.Run(listen, func(t *testing.T) {
			t.Parallel()
			client, server := nettest.NewHost(t, "client"), nettest.NewHost(t, "server")
			server.NeedLink("bridge")
			nettest.Join(nettest.Cable{Host: client, Interface: "eth0", Addresses: []string{nettest.Client4 + "/24"}},
				nettest.Cable{Host: server, Interface: "eth0"})
			server.Run("ip", "link", "add", "name", "br0", "type", "bridge")
			server.Run("ip", "link", "set", "eth0", "master", "br0")
			server.Run("ip", "link", "set", "br0", "up")
			server.AddAddress("br0", nettest.Server4+"/24")
			d := start(t, server, `[options]
	logfile = LOG
[one]
	sequence = 5000:udp
	start_command = echo one >> DIR/opened
[three]
	sequence = 7000:udp,7000:udp,8000:udp
	start_command = echo three >> DIR/opened
`, "-i", listen)
			// The bridge learns where the client is.
			nettest.Eventually(t, "the bridge carries", func() bool {
				_, err := client.Try("ping", "-c", "1", "-W", "1", nettest.Server4)
				return err == nil || client.Reaches(nettest.Server4+":22", time.Second) || arp(client)
			})
			syn(t, client, nettest.Client4, nettest.Server4, "5000:udp")
			d.opensFor("one")
			time.Sleep(100 * time.Millisecond) // beyond the time in which a copy is one
			for _, port := range []string{"7000:udp", "7000:udp", "8000:udp"} {
				syn(t, client, nettest.Client4, nettest.Server4, port)
				time.Sleep(100 * time.Millisecond)
			}
			d.opensFor("one", "three")
		})
	}
}

// arp reports whether the client knows the server's hardware address.
func arp(client *nettest.Host) bool {
	out, _ := client.Try("ip", "neigh", "show", nettest.Server4)
	return strings.Contains(out, "lladdr")
}

// TestRouter: a door whose target is a host behind the daemon's, heard on the
// outer and on the inner side.
func TestRouter(t *testing.T) {
	t.Parallel()
	client, router, inner := nettest.NewHost(t, "client"), nettest.NewHost(t, "router"), nettest.NewHost(t, "inner")
	nettest.Join(nettest.Cable{Host: client, Interface: "eth0", Addresses: []string{"10.7.0.1/24", "fd07::1/64"}},
		nettest.Cable{Host: router, Interface: "outer", Addresses: []string{"10.7.0.2/24", "fd07::2/64"}})
	nettest.Join(nettest.Cable{Host: router, Interface: "inner", Addresses: []string{"10.9.0.1/24", "fd09::1/64"}},
		nettest.Cable{Host: inner, Interface: "eth0", Addresses: []string{"10.9.0.2/24", "fd09::2/64"}})
	router.Sysctl("net/ipv4/ip_forward", "1")
	router.Sysctl("net/ipv6/conf/all/forwarding", "1")
	for _, h := range []*nettest.Host{client, inner} {
		via := map[*nettest.Host][2]string{client: {"10.7.0.2", "fd07::2"}, inner: {"10.9.0.1", "fd09::1"}}[h]
		h.Run("ip", "route", "add", "default", "via", via[0])
		h.Run("ip", "-6", "route", "add", "default", "via", via[1])
	}
	for _, side := range []string{"outer", "inner"} {
		t.Run(side, func(t *testing.T) {
			for family, c := range map[string][2]string{"IPv4": {"10.7.0.1", "10.9.0.2"}, "IPv6": {"fd07::1", "fd09::2"}} {
				d := start(t, router, countDoor("7000:udp,7000:udp,8000", "target = "+c[1]), "-i", side)
				syn(t, client, c[0], c[1], "7000:udp", "7000:udp", "8000")
				d.opensFor(c[0])
				if t.Failed() {
					t.Log(family)
				}
				d.end()
			}
		})
	}
}
