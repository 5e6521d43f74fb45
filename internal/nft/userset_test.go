package nft

import (
	_ "embed"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// userSets is a default-drop ruleset of a host with sets of every key.
//
//go:embed testdata/user-sets.nft
var userSets string

func filterSet(name string) knock.SetName {
	return knock.SetName{Table: knock.Table{Family: "inet", Name: "filter"}, Name: name}
}

func TestUserSets(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"addr", "port", "full"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			client, server := nettest.Pair(t)
			server.EchoTCP(":22")
			server.EchoTCP(":23")
			server.Load(userSets)
			before := ruleset(server)
			f := firewall(t, server, Options{Mode: Set})
			door := Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22, udp/60001-60010"), Timeout: 2 * time.Second, Set4: filterSet(key + "4"), Set6: filterSet(key + "6")}
			if w := ensure(t, f, door); len(w) > 0 {
				t.Error(w)
			}
			for i, from := range []string{nettest.Client4, nettest.Client6} {
				client.MustNotReach(nettest.Both("22")[i])
				open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(from)})
				client.MustReach(nettest.Both("22")[i])
				client.MustNotReach(nettest.Both("23")[i])
				nettest.Eventually(t, "nothing is listed", func() bool {
					open, err := f.List()
					return err == nil && len(open) == 0
				})
				nettest.Eventually(t, "the door closes", func() bool { return !client.Reaches(nettest.Both("22")[i], nettest.Moment) })
			}
			if after := ruleset(server); after != before {
				t.Errorf("the host's rules have become:\n%s", after)
			}
		})
	}
}

func TestUserSetFaults(t *testing.T) {
	t.Parallel()
	server := nettest.NewHost(t, "server")
	server.Load(userSets + "table ip knock {\nset s { type ipv4_addr; flags timeout; }\n}")
	f := firewall(t, server, Options{Mode: Set})
	for _, tt := range []struct {
		door Door
		want string
	}{
		{Door{Timeout: time.Minute}, "mode set needs nft_set or nft_set_6"},
		{Door{Timeout: time.Minute, Set4: knock.SetName{Table: knock.Table{Family: "inet", Name: "nofilter"}, Name: "s"}},
			"set inet nofilter s: there is no table inet nofilter; add to the host's rules: table inet nofilter { set s { type ipv4_addr; flags timeout; } }"},
		{Door{Timeout: time.Minute, Set6: filterSet("other")}, "set inet filter other: there is no such set; add to table inet filter: set other { type ipv6_addr; flags timeout; }"},
		{Door{Set4: filterSet("other")}, "set inet filter other: there is no such set; add to table inet filter: set other { type ipv4_addr; }"},
		{Door{Timeout: time.Minute, Set4: filterSet("map4")}, "set inet filter map4: it is a map; add a set: set map4_knockd { type ipv4_addr; flags timeout; }"},
		{Door{Timeout: time.Minute, Set4: filterSet("mac")}, "set inet filter mac: its type is ether_addr; it must be ipv4_addr, ipv4_addr . inet_service or ipv4_addr . inet_proto . inet_service"},
		{Door{Timeout: time.Minute, Set4: filterSet("addr6")}, "set inet filter addr6: its type is ipv6_addr; it must be ipv4_addr, ipv4_addr . inet_service or ipv4_addr . inet_proto . inet_service"},
		{Door{Timeout: time.Minute, Set6: filterSet("full4")}, "set inet filter full4: its type is ipv4_addr . inet_proto . inet_service; it must be ipv6_addr, ipv6_addr . inet_service or ipv6_addr . inet_proto . inet_service"},
		{Door{Set4: filterSet("constant4")}, "set inet filter constant4: it is constant; remove the flag constant"},
		{Door{Timeout: time.Minute, Set4: filterSet("nets4")}, "set inet filter nets4: the kernel refuses timed intervals that overlap; remove the flag interval"},
		{Door{Timeout: time.Minute, Set4: filterSet("forever4")}, "set inet filter forever4: elements cannot have a time limit; add to it: flags timeout;"},
		{Door{Set4: filterSet("default4")}, "set inet filter default4: its default timeout of 30s would close the door, which has no cmd_timeout; remove timeout from the set or give the door a cmd_timeout"},
		{Door{Timeout: time.Minute, Set4: filterSet("full4"), Ports: ports(t, "udp/1-60,tcp/1-5")}, "set inet filter full4: open names 65 ports, and each becomes an element; at most 64, or use a set of type ipv4_addr"},
	} {
		if tt.door.Ports == nil {
			tt.door.Ports = ports(t, "tcp/22")
		}
		tt.door.Name = "ssh"
		_, err := f.Ensure([]Door{tt.door})
		if err == nil || err.Error() != "door ssh: "+tt.want {
			t.Errorf("%v\nwant door ssh: %s", err, tt.want)
		}
	}
}

func TestUserSetWarnings(t *testing.T) {
	t.Parallel()
	server := nettest.NewHost(t, "server")
	server.Load(userSets)
	f := firewall(t, server, Options{Mode: Set})
	door := func(name string, d Door) Door {
		d.Name, d.Ports, d.Timeout = name, ports(t, "tcp/22-23"), time.Minute
		return d
	}
	w := ensure(t, f, door("a", Door{Set4: filterSet("default4")}), door("b", Door{Set6: filterSet("addr6")}))
	want := []string{
		"door a does not open for IPv6 addresses: it has no nft_set_6",
		"door b does not open for IPv4 addresses: it has no nft_set",
		"no rule refers to set inet filter default4: door a opens nothing; add to a chain of table inet filter, before what drops: tcp dport 22-23 ip saddr @default4 accept",
	}
	if lines(w) != lines(want) {
		t.Errorf("warnings:\n%s", lines(w))
	}
	if _, err := f.Open(Element{Door: knock.DoorID{Name: "a"}, Addr: addr("2001:db8::1")}); err == nil || err.Error() != "open door a for 2001:db8::1: no set is configured for this IP version" {
		t.Errorf("open: %v", err)
	}
}

// TestUserSetGuests: only elements with our comment are touched.
func TestUserSetGuests(t *testing.T) {
	t.Parallel()
	server := nettest.NewHost(t, "server")
	server.Load(userSets)
	server.Run("nft", `add element inet filter addr4 { 192.0.2.1 comment "the boss", 192.0.2.2 timeout 1h }`)
	before := ruleset(server)
	f := firewall(t, server, Options{Mode: Set})
	door := func(name, ports4 string, timeout time.Duration) Door {
		return Door{DoorID: knock.DoorID{Name: name}, Ports: ports(t, ports4), Timeout: timeout, Set4: filterSet("addr4"), Set6: filterSet("port6")}
	}
	a, b := door("a", "tcp/22", time.Hour), door("b", "tcp/22-24", time.Minute)
	ensure(t, f, a, b)
	for _, from := range []string{"192.0.2.1", "192.0.2.2"} {
		open(t, f, Element{Door: knock.DoorID{Name: "a"}, Addr: addr(from)})
		if _, err := f.CloseFor(knock.DoorID{Name: "a"}, addr(from)); err != nil {
			t.Error(err)
		}
	}
	if after := ruleset(server); after != before {
		t.Errorf("somebody else's elements have become:\n%s", after)
	}

	// Two doors need the same element: it stays as long as one of them does.
	for _, from := range []string{"192.0.2.3", "2001:db8::3"} {
		open(t, f, Element{Door: knock.DoorID{Name: "b"}, Addr: addr(from)})
		open(t, f, Element{Door: knock.DoorID{Name: "a"}, Addr: addr(from)})
	}
	wantList(t, f, "a/1 192.0.2.3/32, a/1 2001:db8::3/128, b/1 192.0.2.3/32, b/1 2001:db8::3/128")
	for _, from := range []string{"192.0.2.3", "2001:db8::3"} {
		if _, err := f.CloseFor(knock.DoorID{Name: "a"}, addr(from)); err != nil {
			t.Error(err)
		}
	}
	wantList(t, f, "b/1 192.0.2.3/32, b/1 2001:db8::3/128")
	elements, err := elementsOf(f, f.doors["b"].v6)
	if err != nil || len(elements) != 3 {
		t.Fatalf("%d elements, %v", len(elements), err)
	}
	for _, e := range elements {
		if e.Comment != "knockd:b" || e.Expires > time.Minute {
			t.Errorf("element %+v", e)
		}
	}

	// A restart adopts, a removed door takes its elements along.
	f.Close()
	f = firewall(t, server, Options{Mode: Set})
	ensure(t, f, a, b)
	wantList(t, f, "b/1 192.0.2.3/32, b/1 2001:db8::3/128")
	ensure(t, f, a)
	wantList(t, f, "")
	if after := ruleset(server); after != before {
		t.Errorf("left:\n%s", after)
	}
}

// TestUserSetFull: the set is full for one knocker, not for the others.
func TestUserSetFull(t *testing.T) {
	t.Parallel()
	server := nettest.NewHost(t, "server")
	server.Load(userSets)
	f := firewall(t, server, Options{Mode: Set})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute, Set4: filterSet("small4")})
	var all []*request
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"} {
		all = append(all, &request{Element: Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(a)}})
	}
	f.mu.Lock()
	f.openAll(all)
	f.mu.Unlock()
	for i, r := range all {
		switch {
		case i < 3 && r.err != nil:
			t.Error(r.err)
		case i == 3 && (r.err == nil || !strings.HasPrefix(r.err.Error(), "open door ssh for 192.0.2.4: the set is full: ")):
			t.Errorf("the fourth: %v", r.err)
		}
	}
	wantList(t, f, "ssh/1 192.0.2.1/32, ssh/1 192.0.2.2/32, ssh/1 192.0.2.3/32")
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("192.0.2.2"), Timeout: time.Hour}) // can be extended when full
}

// TestUserSetReloaded: the host's rules are loaded anew; what is open stays.
func TestUserSetReloaded(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	server.Load(userSets)
	var n notices
	f := firewall(t, server, Options{Mode: Set, Notify: n.add})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Hour, Set4: filterSet("addr4"), Set6: filterSet("full6")})
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(nettest.Client4), Timeout: 2 * time.Hour})
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(nettest.Client6)})
	server.Load("flush ruleset\n" + userSets)
	nettest.Eventually(t, "a notice", func() bool { return n.texts() != "" })
	if got := n.texts(); !strings.HasPrefix(got, `the sets of native doors were made anew by "nft" (process `) || !strings.HasSuffix(got, "): put back 2 openings") {
		t.Errorf("notice: %s", got)
	}
	all := list(t, f)
	if words(all) != "ssh/1 10.7.0.1/32, ssh/1 fd07::1/128" || all[0].Timeout < 119*time.Minute || all[1].Timeout > time.Hour {
		t.Errorf("open: %v", all)
	}
	for _, a := range nettest.Both("22") {
		client.MustReach(a)
	}
	server.Run("nft", "flush set inet filter addr4")
	nettest.Eventually(t, "word of what was closed", func() bool { return len(n.closed()) == 1 })
	if got := lines(n.closed()); got != "ssh/1 10.7.0.1/32" {
		t.Errorf("closed: %s", got)
	}
	client.MustNotReach(nettest.Both("22")[0])

	// The table goes and comes back later.
	server.Run("nft", "flush ruleset")
	nettest.Eventually(t, "a complaint", func() bool { return strings.Contains(n.texts(), "there is no table inet filter") })
	if _, err := f.Open(Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(nettest.Client4)}); err == nil ||
		!strings.HasPrefix(err.Error(), "open door ssh for 10.7.0.1: the table, the set or a kernel module is missing: ") {
		t.Errorf("open: %v", err)
	}
	server.Load(userSets)
	nettest.Eventually(t, "the opening is back", func() bool { all, err := f.List(); return err == nil && words(all) == "ssh/1 fd07::1/128" })
	client.MustReach(nettest.Both("22")[1])
}
