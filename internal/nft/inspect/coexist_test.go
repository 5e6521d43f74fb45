package inspect

import (
	"os"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/nft"
)

// site is a host with a firewall, and how doors are to be made there.
type site struct {
	name  string
	needs []string // programs
	slow  bool     // only with KNOCKD_TEST_FIREWALLS=1
	setup func(t *testing.T, server *nettest.Host)
	opt   nft.Options
}

var sites = []site{
	{name: "nftables.conf/set", setup: rules(userSets), opt: nft.Options{Mode: nft.Set}},
	{name: "nftables.conf/mark", setup: rules(strings.Replace(userSets, "tcp dport 22 ip saddr @addr4 accept", "meta mark & 0x100000 == 0x100000 accept", 1)), opt: nft.Options{Mode: nft.Mark}},
	{name: "nftables.conf/guard", setup: rules(strings.Replace(userSets, "tcp dport 22 ip saddr @addr4 accept", "tcp dport 22 accept", 1))},
	{name: "iptables-nft/mark", needs: []string{"iptables-nft", "ip6tables-nft"}, setup: iptables("-nft", "-m", "mark", "--mark", "0x100000/0x100000"), opt: nft.Options{Mode: nft.Mark}},
	{name: "iptables-nft/guard", needs: []string{"iptables-nft", "ip6tables-nft"}, setup: iptables("-nft", "-p", "tcp", "--dport", "22")},
	{name: "iptables-legacy/mark", needs: []string{"iptables-legacy", "ip6tables-legacy"}, setup: iptables("-legacy", "-m", "mark", "--mark", "0x100000/0x100000"), opt: nft.Options{Mode: nft.Mark}},
	{name: "iptables-legacy/guard", needs: []string{"iptables-legacy", "ip6tables-legacy"}, setup: iptables("-legacy", "-p", "tcp", "--dport", "22")},
	{name: "ufw/mark", slow: true, needs: []string{"ufw"}, setup: ufw(`
for v in "" 6; do sed -i "/^# End required lines/i -A ufw$v-before-input -m mark --mark 0x100000/0x100000 -j ACCEPT" /etc/ufw/before$v.rules || exit 1; done
grep -q 0x100000 /etc/ufw/before.rules || sed -i "/^COMMIT/i -A ufw-before-input -m mark --mark 0x100000/0x100000 -j ACCEPT" /etc/ufw/before.rules
grep -q 0x100000 /etc/ufw/before6.rules || sed -i "/^COMMIT/i -A ufw6-before-input -m mark --mark 0x100000/0x100000 -j ACCEPT" /etc/ufw/before6.rules
`), opt: nft.Options{Mode: nft.Mark}},
	{name: "ufw/guard", slow: true, needs: []string{"ufw"}, setup: ufw("ufw allow 22/tcp")},
	{name: "firewalld/guard", slow: true, needs: []string{"firewalld", "firewall-cmd", "dbus-daemon"}, setup: firewalld},
}

// TestCoexist: a door beside each firewall, with real connections before,
// during and after, IPv4 and IPv6.
func TestCoexist(t *testing.T) {
	t.Parallel()
	for _, s := range sites {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			nettest.NeedRealRoot(t)
			if s.slow && os.Getenv("KNOCKD_TEST_FIREWALLS") == "" {
				t.Skipf("needs KNOCKD_TEST_FIREWALLS=1 and the packages of %s (Debian: ufw, firewalld, dbus)", strings.Join(s.needs, ", "))
			}
			nettest.NeedProgram(t, append(s.needs, "nft", "unshare")...)
			client, server := nettest.Pair(t)
			for _, port := range []string{":22", ":23"} {
				server.EchoTCP(port)
			}
			s.setup(t, server)
			f, opt := firewall(t, server, s.opt)
			door := nft.Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute}
			if s.opt.Mode == nft.Set {
				door.Set4, door.Set6 = filterSet("addr4"), filterSet("addr6")
			}
			ensure(t, f, door)
			useDoor(t, f, client)
			for _, a := range nettest.Both("23") {
				client.MustNotReach(a)
			}
			examined(t, server, s, opt, door)
		})
	}
}

// examined compares what is said of the host's rules with what was just seen:
// the door works, and what is not accepted (tcp/23) is dropped.
func examined(t *testing.T, server *nettest.Host, s site, o nft.Options, door nft.Door) {
	t.Helper()
	other := nft.Door{DoorID: knock.DoorID{Name: "telnet"}, Ports: ports(t, "tcp/23"), Timeout: time.Minute, Set4: door.Set4, Set6: door.Set6}
	var got []string
	err := server.Do(func() (err error) {
		got, err = Examine(o, []nft.Door{door, other})
		return err
	})
	text := lines(got)
	if err != nil || strings.Contains(text, "door ssh:") && !strings.HasPrefix(s.name, "iptables-legacy") {
		t.Errorf("examined: %v\n%s", err, text)
	}
	want := ""
	switch {
	case strings.HasPrefix(s.name, "iptables-legacy"):
		want = "rules of iptables-legacy (filter) were not examined"
	case o.WithDefaults().Mode == nft.Guard && s.name != "nftables.conf/guard": // whose sets may hold it

		want = "door telnet: tcp/23 stays closed: "
	}
	if !strings.Contains(text, want) {
		t.Errorf("examined:\n%s\nwant %s", text, want)
	}
}

// useDoor opens and closes the door ssh for the client's two addresses.
func useDoor(t *testing.T, f *nft.Firewall, client *nettest.Host) {
	t.Helper()
	for i, from := range []string{nettest.Client4, nettest.Client6} {
		client.MustNotReach(nettest.Both("22")[i])
		if _, err := f.Open(nft.Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(from)}); err != nil {
			t.Fatal(err)
		}
		conn, err := client.Dial("tcp", nettest.Both("22")[i], nettest.Patience)
		if err != nil {
			t.Errorf("door open for %s: %v", from, err)
			continue
		}
		defer conn.Close()
		nettest.MustEcho(t, conn)
		if closed, err := f.CloseFor(knock.DoorID{Name: "ssh"}, addr(from)); err != nil || len(closed) != 1 {
			t.Errorf("closed %v, %v", closed, err)
		}
		client.MustNotReach(nettest.Both("22")[i])
		nettest.MustEcho(t, conn)
	}
}

func rules(text string) func(*testing.T, *nettest.Host) {
	return func(_ *testing.T, h *nettest.Host) { h.Load(text) }
}

func iptables(flavour string, match ...string) func(*testing.T, *nettest.Host) {
	return func(_ *testing.T, h *nettest.Host) { h.Iptables(flavour, match...) }
}

func ufw(commands string) func(*testing.T, *nettest.Host) {
	return func(_ *testing.T, h *nettest.Host) { h.UFW(commands) }
}

func firewalld(_ *testing.T, h *nettest.Host) { h.Firewalld() }

// TestDNAT: a port that is forwarded to a third host, as Docker publishes it,
// never reaches the input hook; the guard at prerouting closes it.
func TestDNAT(t *testing.T) {
	t.Parallel()
	nettest.NeedProgram(t, "nft")
	client, server := nettest.Pair(t)
	inner := nettest.NewHost(t, "inner")
	nettest.Join(nettest.Cable{Host: server, Interface: "docker0", Addresses: []string{"172.17.0.1/24", "fd17::1/64"}},
		nettest.Cable{Host: inner, Interface: "eth0", Addresses: []string{"172.17.0.2/24", "fd17::2/64"}})
	inner.Run("ip", "route", "add", "default", "via", "172.17.0.1")
	inner.Run("ip", "-6", "route", "add", "default", "via", "fd17::1")
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if err := server.Sysctl(name, "1"); err != nil {
			nettest.LacksKernel(t, "forwarding here: "+err.Error())
		}
	}
	server.Load(`
table inet nat {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		fib daddr type local tcp dport 22 dnat ip to 172.17.0.2:80
		fib daddr type local tcp dport 22 dnat ip6 to [fd17::2]:80
	}
}`)
	inner.EchoTCP(":80")
	for _, a := range nettest.Both("22") {
		client.MustReach(a)
	}
	door := nft.Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute}
	f, opt := firewall(t, server, nft.Options{})
	ensure(t, f, door)
	client.MustReach(nettest.Both("22")[0]) // past the guard at input, which is said:
	got, err := Examine(opt, []nft.Door{door})
	if want := "door ssh: chain prerouting of table inet nat forwards tcp/22 elsewhere, past the guard at hook input: set guard_hook = prerouting"; err != nil || !strings.HasPrefix(lines(got), want) {
		t.Errorf("%v, %s", err, lines(got))
	}
	f.Close()
	f, _ = firewall(t, server, nft.Options{Hook: nft.Prerouting})
	ensure(t, f, door)
	useDoor(t, f, client)
}
