package setup

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/nft"
	"knockd/internal/nft/inspect"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// look looks at a host, on which no program may be run.
func look(t *testing.T, h *nettest.Host) *Host {
	t.Helper()
	var seen *Host
	err := h.Do(func() (err error) {
		seen, err = Look(t.Context(), func(_ context.Context, _ []byte, name string, _ ...string) (string, error) {
			return "", errors.New(name + " must not be run")
		}, 22, nft.Options{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// TestLook: the interfaces, the way of who is there, what listens and what the
// rules do, of this host and no other.
func TestLook(t *testing.T) {
	nettest.NeedProgram(t, "nft")
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	server.EchoUDP(":5353")
	nettest.Join(nettest.Cable{Host: server, Interface: "uplink", Addresses: []string{"203.0.113.5/24"}},
		nettest.Cable{Host: nettest.NewHost(t, "provider"), Interface: "eth0", Addresses: []string{"203.0.113.1/24"}})
	server.Run("ip", "route", "add", "default", "via", "203.0.113.1")
	if err := server.Sysctl("net/ipv4/ip_local_port_range", "20000 30000"); err != nil {
		nettest.LacksKernel(t, "a /proc/sys that can be written: "+err.Error())
	}
	h := look(t, server)
	if h.Firewall != None || h.Reach != [2]Reach{open, open} || len(h.Connected) > 0 || !h.Listens(22) || h.Listens(5353) || h.Unexamined {
		t.Errorf("%+v", h)
	}
	if udp := (knock.Step{Proto: knock.UDP, Port: 5353}); !slices.Contains(h.Listening, udp) || h.Ephemeral != (knock.PortRange{First: 20000, Last: 30000}) {
		t.Errorf("listening: %v, own connections: %v", h.Listening, h.Ephemeral)
	}
	if got := h.address(); got != netip.MustParseAddr("203.0.113.5") || h.realName(config.DefaultRoute) != "uplink" {
		t.Errorf("address %v of %s", got, h.realName(config.DefaultRoute))
	}

	conn, err := client.Dial("tcp", nettest.Server4+":22", nettest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	server.Load("table inet f {\n chain in { type filter hook input priority 0; policy drop; ct state established accept; ip saddr 10.7.0.0/24 tcp dport 22 accept; }\n}")
	h = look(t, server)
	dropped := Reach{Reach: inspect.Reach{Chain: inspect.Chain{Table: knock.Table{Family: "inet", Name: "f"}, Name: "in", Input: true}}}
	if h.Firewall != Nftables || h.Reach != [2]Reach{some, dropped} {
		t.Errorf("%s, %+v", h.Firewall, h.Reach)
	}
	p, err := plan(t, h, Ask{}, "")
	if err != nil || !strings.Contains(p.Text, "Interface   = default-route, eth0\n") || p.Mode != config.NftGuard {
		t.Errorf("%v\n%s", err, p.Text)
	}
}
