package nft

import (
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// TestMark: one static rule of a default-drop host accepts the mark.
func TestMark(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	server.EchoTCP(":23")
	server.Load(`
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		meta mark & 0x100000 == 0x100000 accept
	}
	chain set_other_bits {
		type filter hook prerouting priority raw;
		meta mark set 0x7
	}
	chain see_other_bits {
		type filter hook input priority filter - 1;
		meta mark & 0xff != 0x7 counter drop
	}
}`)
	f := firewall(t, server, Options{Mode: Mark})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: 2 * time.Second})
	for i, from := range []string{nettest.Client4, nettest.Client6} {
		client.MustNotReach(nettest.Both("22")[i])
		open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(from)})
		client.MustReach(nettest.Both("22")[i])
		client.MustNotReach(nettest.Both("23")[i])
		conn, err := client.Dial("tcp", nettest.Both("22")[i], nettest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		nettest.Eventually(t, "the door closes", func() bool { return !client.Reaches(nettest.Both("22")[i], nettest.Moment) })
		nettest.MustEcho(t, conn)
	}
	// Fails closed: without the table nothing is marked.
	f.Close()
	if _, err := Cleanup(f.opt.NetNS); err != nil {
		t.Error(err)
	}
	client.MustNotReach(nettest.Both("22")[0])
}

// TestModeChange: from guard to mark and back, the openings go along.
func TestModeChange(t *testing.T) {
	t.Parallel()
	server := nettest.NewHost(t, "server")
	door := Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Hour}
	for i, mode := range []Mode{Guard, Mark, Guard} {
		f := firewall(t, server, Options{Mode: mode})
		ensure(t, f, door)
		if i == 0 {
			open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("192.0.2.1")})
		}
		wantList(t, f, "ssh/1 192.0.2.1/32")
		before := ruleset(server)
		f.Close()
		server.Run("nft", "flush ruleset")
		f = firewall(t, server, Options{Mode: mode})
		ensure(t, f, door)
		open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("192.0.2.1")})
		if fresh := ruleset(server); restored.ReplaceAllString(before, "") != restored.ReplaceAllString(fresh, "") {
			t.Errorf("after a change to %v:\n%s\nmade at once:\n%s", mode, before, fresh)
		}
		f.Close()
	}
}
