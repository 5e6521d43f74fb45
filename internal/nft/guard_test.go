package nft

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	for _, hook := range []Hook{Input, Prerouting} {
		t.Run(hook.String(), func(t *testing.T) {
			t.Parallel()
			client, server := nettest.Pair(t)
			server.EchoTCP(":22")
			server.EchoTCP(":80")
			f := firewall(t, server, Options{Hook: hook})
			for _, a := range nettest.Both("22") {
				client.MustReach(a)
			}
			if w := ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: 2 * time.Second}); len(w) > 0 && !f.noOwner {
				t.Error(w)
			}
			for _, a := range nettest.Both("22") {
				client.MustNotReach(a)
			}
			for _, a := range nettest.Both("80") {
				client.MustReach(a)
			}
			server.MustReach("127.0.0.1:22")
			server.MustReach("[::1]:22")
			server.MustReach(nettest.Server4 + ":22")
			for i, from := range []string{nettest.Client4, nettest.Client6} {
				got := open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(from)})
				if got.Timeout <= time.Second || got.Timeout > 2*time.Second || got.Prefix.Addr() != addr(from) || !got.Prefix.IsSingleIP() {
					t.Errorf("opened %+v", got)
				}
				client.MustReach(nettest.Both("22")[i])
				client.MustNotReach(nettest.Both("22")[1-i])
				nettest.Eventually(t, "nothing is listed", func() bool {
					open, err := f.List()
					return err == nil && len(open) == 0
				})
				nettest.Eventually(t, "the door closes", func() bool { return !client.Reaches(nettest.Both("22")[i], nettest.Moment) })
			}
		})
	}
}

// TestRescue: for the addresses of rescue no port is closed, for any other all
// are, and what holds can be changed.
func TestRescue(t *testing.T) {
	t.Parallel()
	for _, hook := range []Hook{Input, Prerouting} {
		t.Run(hook.String(), func(t *testing.T) {
			t.Parallel()
			client, server := nettest.Pair(t)
			server.EchoTCP(":22")
			ssh := Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Hour}
			f := firewall(t, server, Options{Hook: hook, Rescue: []netip.Prefix{netip.MustParsePrefix(nettest.Client4 + "/32")}})
			both := nettest.Both("22")
			ensure(t, f, ssh)
			client.MustReach(both[0])
			client.MustNotReach(both[1])
			v6 := netip.MustParsePrefix(nettest.Client6 + "/64").Masked()
			f.SetRescue([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), v6})
			ensure(t, f, ssh)
			client.MustNotReach(both[0])
			client.MustReach(both[1])
			f.SetRescue(nil)
			ensure(t, f, ssh)
			client.MustNotReach(both[0])
			client.MustNotReach(both[1])
		})
	}
}

// TestGuardWaits: while no knock can be heard, a guard closes nothing that is
// not closed already, and takes openings all the same.
func TestGuardWaits(t *testing.T) {
	t.Parallel()
	for _, hook := range []Hook{Input, Prerouting} {
		t.Run(hook.String(), func(t *testing.T) {
			t.Parallel()
			client, server := nettest.Pair(t)
			server.EchoTCP(":22")
			var listening atomic.Bool
			f := firewall(t, server, Options{Hook: hook, Listening: listening.Load})
			ssh := Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Hour}
			more := Door{DoorID: knock.DoorID{Name: "more"}, Ports: ports(t, "tcp/20-30, udp/53"), Timeout: time.Hour}
			ensure(t, f, ssh)
			wantGuarded(t, f, "", "tcp/22")
			for _, a := range nettest.Both("22") {
				client.MustReach(a)
			}
			open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(nettest.Client4)})

			listening.Store(true)
			if err := f.Shut(); err != nil {
				t.Fatal(err)
			}
			wantGuarded(t, f, "tcp/22", "")
			wantList(t, f, "ssh/1 10.7.0.1/32")
			client.MustReach(nettest.Both("22")[0])
			client.MustNotReach(nettest.Both("22")[1])

			listening.Store(false)
			if err := f.Shut(); err != nil {
				t.Fatal(err)
			}
			ensure(t, f, ssh, more)
			wantGuarded(t, f, "tcp/22", "tcp/20-21, tcp/23-30, udp/53")
			client.MustNotReach(nettest.Both("22")[1])
			f.Close()

			// The next run finds what this one has left.
			f = firewall(t, server, Options{Hook: 1 - hook, Listening: listening.Load})
			ensure(t, f, more)
			wantGuarded(t, f, "tcp/22", "tcp/20-21, tcp/23-30, udp/53")
			client.MustNotReach(nettest.Both("22")[1])
			listening.Store(true)
			ensure(t, f, more)
			wantGuarded(t, f, "tcp/20-30, udp/53", "")
			client.MustNotReach(nettest.Both("22")[0])
		})
	}
}

func wantGuarded(t *testing.T, f *Firewall, closed, open string) {
	t.Helper()
	c, o := f.Guarded()
	if rangeNames(c) != closed || rangeNames(o) != open {
		t.Errorf("closed %v, open %v; want %q and %q", c, o, closed, open)
	}
}

func rangeNames(all []knock.PortRange) string {
	var names []string
	for _, r := range all {
		names = append(names, r.String())
	}
	return strings.Join(names, ", ")
}

// TestGuardWaitsUnowned: what a guard has closed once it puts back although no
// knock can be heard; what it has not, it does not close then, and what
// somebody else closes meanwhile it leaves closed.
func TestGuardWaitsUnowned(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	server.EchoTCP(":23")
	var listening atomic.Bool
	listening.Store(true)
	var n notices
	f := firewall(t, server, Options{Listening: listening.Load, Notify: n.add})
	f.noOwner = true
	ssh := Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Hour}
	telnet := Door{DoorID: knock.DoorID{Name: "telnet"}, Ports: ports(t, "tcp/23"), Timeout: time.Hour}
	ensure(t, f, ssh)
	listening.Store(false)
	ensure(t, f, ssh, telnet)
	server.Run("nft", "delete table inet knockd")
	nettest.Eventually(t, "a notice", func() bool { return strings.Contains(n.texts(), "put back") })
	client.MustNotReach(nettest.Both("22")[0])
	client.MustReach(nettest.Both("23")[0])

	guard := firewall(t, server, Options{})
	guard.noOwner = true
	ensure(t, guard, ssh, telnet)
	nettest.Eventually(t, "the other guard is seen", func() bool { c, _ := f.Guarded(); return rangeNames(c) == "tcp/22-23" })
	client.MustNotReach(nettest.Both("23")[0])
}

// TestClosed: what a guard in the kernel closes of a configuration's ports.
func TestClosed(t *testing.T) {
	t.Parallel()
	server := nettest.NewHost(t, "server")
	f := firewall(t, server, Options{})
	f.noOwner = true
	doors := []Door{{DoorID: knock.DoorID{Name: "a"}, Ports: ports(t, "tcp/20-25, udp/53")}}
	want := func(o Options, closed, open string) {
		t.Helper()
		o.NetNS = f.opt.NetNS
		if c, o, err := Closed(o, doors); err != nil || rangeNames(c) != closed || rangeNames(o) != open {
			t.Errorf("closed %v, open %v, %v; want %q and %q", c, o, err, closed, open)
		}
	}
	const all = "tcp/20-25, udp/53"
	want(Options{}, "", all)
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "b"}, Ports: ports(t, "tcp/22-23, udp/60000, tcp/25-26")})
	want(Options{}, "tcp/22-23, tcp/25", "tcp/20-21, tcp/24, udp/53")
	want(Options{Mode: Mark}, "", "")
	want(Options{Table: knock.Table{Family: DefaultTable.Family, Name: "other"}}, "", all)
	f.Close()
	want(Options{}, "tcp/22-23, tcp/25", "tcp/20-21, tcp/24, udp/53")
	server.Run("nft", "add table inet knockd { flags dormant; }")
	want(Options{}, "", all)
}

// TestOldSessions: a session that is older than the guard, and so unknown to
// connection tracking, goes on when its client types first; no new one begins.
func TestOldSessions(t *testing.T) {
	t.Parallel()
	for _, hook := range []Hook{Input, Prerouting} {
		for name, before := range map[string]func(t *testing.T, h *nettest.Host){
			"fresh":   func(*testing.T, *nettest.Host) {},
			"adopted": loadEarlier,
		} {
			t.Run(fmt.Sprintf("%s/%s", hook, name), func(t *testing.T) {
				t.Parallel()
				client, server := nettest.Pair(t)
				server.EchoTCP(":22")
				f := firewall(t, server, Options{Hook: hook})
				var sessions []net.Conn
				for _, a := range nettest.Both("22") {
					c, err := client.Dial("tcp", a, nettest.Patience)
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					sessions = append(sessions, c)
				}
				before(t, server)
				ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Hour})
				for i, c := range sessions {
					c.SetDeadline(time.Now().Add(nettest.Patience))
					buf := make([]byte, 2)
					if _, err := c.Write([]byte("ls")); err != nil {
						t.Error(err)
					}
					if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "ls" {
						t.Errorf("%s: %q came back, %v", nettest.Both("22")[i], buf, err)
					}
					client.MustNotReach(nettest.Both("22")[i])
				}
			})
		}
	}
}

// loadEarlier gives a host the table of a build that knew no sessions but
// those of connection tracking.
func loadEarlier(t *testing.T, h *nettest.Host) {
	t.Helper()
	text, err := os.ReadFile("testdata/earlier.nft")
	if err != nil {
		t.Fatal(err)
	}
	h.Load(string(text))
}

// TestEarlierTable: the table that an earlier build has left is adopted with
// its openings and becomes as ours, and none of its ports is open meanwhile.
func TestEarlierTable(t *testing.T) {
	t.Parallel()
	for _, listening := range []bool{true, false} {
		t.Run(fmt.Sprint("listening ", listening), func(t *testing.T) {
			t.Parallel()
			server, fresh := nettest.NewHost(t, "server"), nettest.NewHost(t, "fresh")
			loadEarlier(t, server)
			door := Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Hour}
			f := firewall(t, server, Options{Listening: func() bool { return listening }})
			ensure(t, f, door)
			wantList(t, f, "ssh/1 192.0.2.1/32")
			wantGuarded(t, f, "tcp/22", "")
			g := firewall(t, fresh, Options{})
			ensure(t, g, door)
			if _, err := f.CloseAll(); err != nil {
				t.Fatal(err)
			}
			if got, want := ruleset(server), ruleset(fresh); got != want {
				t.Errorf("adopted:\n%s\nmade:\n%s", got, want)
			}
		})
	}
}
