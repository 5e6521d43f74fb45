package livetest

import (
	"testing"
	"time"

	"knockd/internal/nettest"
)

// lock makes a server whose port 22 serves, and whose firewall drops all that
// comes in on eth0 but what IPv6 itself needs.
func lock(t testing.TB, h *nettest.Host) {
	t.Helper()
	nettest.NeedProgram(t, "iptables", "ip6tables")
	for _, tables := range []string{"iptables", "ip6tables"} {
		if out, err := h.Try(tables, "-w", "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT"); err != nil {
			nettest.LacksKernel(t, "connection tracking for "+tables+": "+out)
		}
		h.Run(tables, "-w", "-A", "INPUT", "-i", "lo", "-j", "ACCEPT")
		h.Run(tables, "-w", "-P", "INPUT", "DROP")
	}
	h.Run("ip6tables", "-w", "-A", "INPUT", "-p", "ipv6-icmp", "-j", "ACCEPT")
	h.EchoTCP(":22")
}

// site is a client and a locked server.
func site(t testing.TB) (client, server *nettest.Host) {
	t.Helper()
	client, server = nettest.Pair(t)
	lock(t, server)
	return client, server
}

// shutOff is how long a connection is tried before a port counts as closed: a
// firewall that drops never says so.
const shutOff = 150 * time.Millisecond

func reaches(client *nettest.Host, address string) bool {
	return client.Reaches(address, shutOff)
}

// opens waits until a service can be reached, closes until it cannot.
func opens(t testing.TB, client *nettest.Host, address string) {
	t.Helper()
	nettest.Eventually(t, address+" reached", func() bool { return reaches(client, address) })
}

// Once may be a machine that is too busy to connect in time.
func closes(t testing.TB, client *nettest.Host, address string) {
	t.Helper()
	failed := 0
	nettest.Eventually(t, address+" closed", func() bool {
		if failed++; reaches(client, address) {
			failed = 0
		}
		return failed == 2
	})
}

// shut says that a service cannot be reached now.
func shut(t testing.TB, client *nettest.Host, address string) {
	t.Helper()
	if reaches(client, address) {
		t.Errorf("%s is reached", address)
	}
}

const (
	ssh4 = nettest.Server4 + ":22"
	ssh6 = "[" + nettest.Server6 + "]:22"
)
