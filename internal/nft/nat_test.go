package nft

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

const (
	inner4, inner6 = nettest.Inner4, nettest.Inner6
	nat4, nat6     = nettest.Server4 + ":2200", "[" + nettest.Server6 + "]:2200"
)

// natSite is nettest.Site with a host that serves on ports 22 and 23.
func natSite(t testing.TB) (client, box, inner *nettest.Host) {
	t.Helper()
	client, box, inner = nettest.Site(t)
	inner.EchoTCP(":22")
	inner.EchoTCP(":23")
	return client, box, inner
}

// natDoor hides knockers over IPv6.
func natDoor(t testing.TB, timeout time.Duration) Door {
	return Door{DoorID: knock.DoorID{Name: "nat"}, Ports: ports(t, "tcp/2200-2210"), OnePort: true, Timeout: timeout,
		Masquerade: true, NAT: []knock.NATTarget{{Net: netip.MustParsePrefix("fd09::/64"), Ports: ports(t, "tcp/22-23")[0]}}}
}

func natFirewall(t testing.TB, box *nettest.Host, n *notices) *Firewall {
	t.Helper()
	o := Options{Mode: NAT, Table: NATTable(DefaultTable)}
	if n != nil {
		o.Notify = n.add
	}
	return firewall(t, box, o)
}

func natOpening(t testing.TB, from, to string, port uint16) Element {
	return Element{Door: knock.DoorID{Name: "nat"}, Addr: addr(from), Proto: ports(t, "tcp/1")[0].Proto, Port: port, To: netip.MustParseAddrPort(to)}
}

// TestNAT: a port leads to a host behind the box, for one address, until the
// kernel ends that; what is connected goes on.
func TestNAT(t *testing.T) {
	t.Parallel()
	client, box, _ := natSite(t)
	f := natFirewall(t, box, nil)
	ensure(t, f, natDoor(t, 2*time.Second))
	for _, c := range []struct{ from, at, to string }{
		{nettest.Client4, nat4, inner4 + ":22"},
		{nettest.Client6, nat6, "[" + inner6 + "]:22"},
	} {
		client.MustNotReach(c.at)
		open(t, f, natOpening(t, c.from, c.to, 2200))
		client.MustReach(c.at)
		client.MustNotReach(strings.Replace(c.at, ":2200", ":2201", 1))
		conn, err := client.Dial("tcp", c.at, nettest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		nettest.Eventually(t, "the door closes", func() bool { return !client.Reaches(c.at, nettest.Moment) })
		nettest.MustEcho(t, conn)
	}
	// A machine that is busy may have seemed closed before.
	nettest.Eventually(t, "no opening is left", func() bool { return len(list(t, f)) == 0 })
}

// TestNATOpenings: extending, leading elsewhere, closing, and what a restart and
// a reload leave.
func TestNATOpenings(t *testing.T) {
	t.Parallel()
	box := nettest.NewHost(t, "box")
	f := natFirewall(t, box, nil)
	ensure(t, f, natDoor(t, time.Minute), Door{DoorID: knock.DoorID{Name: "other"}, Ports: ports(t, "tcp/2200"), OnePort: true, Timeout: time.Minute})
	in := func(want ...string) {
		t.Helper()
		var got []string
		for _, o := range list(t, f) {
			got = append(got, o.Door.Name+" "+o.Prefix.Addr().String()+" "+itoa(int(o.Port))+" "+o.To.String())
		}
		if lines(got) != lines(want) {
			t.Errorf("open:\n%s\nwant:\n%s", lines(got), lines(want))
		}
	}
	open(t, f, natOpening(t, "192.0.2.1", "10.9.0.2:22", 2200))
	open(t, f, natOpening(t, "192.0.2.1", "10.9.0.2:22", 2201))
	open(t, f, natOpening(t, "2001:db8::1", "[fd09::2]:22", 2200))
	long := natOpening(t, "192.0.2.1", "10.9.0.2:22", 2200)
	long.Timeout = time.Hour
	if got := open(t, f, long); got.Timeout < 59*time.Minute {
		t.Errorf("extended: %v", got)
	}
	in("nat 192.0.2.1 2200 10.9.0.2:22", "nat 192.0.2.1 2201 10.9.0.2:22", "nat 2001:db8::1 2200 [fd09::2]:22")
	// Another target takes the place of the first, also by way of another door.
	open(t, f, natOpening(t, "192.0.2.1", "10.9.0.3:80", 2200))
	in("nat 192.0.2.1 2200 10.9.0.3:80", "nat 192.0.2.1 2201 10.9.0.2:22", "nat 2001:db8::1 2200 [fd09::2]:22")
	if closed, err := f.CloseOpening(long); err != nil || len(closed) > 0 {
		t.Errorf("what leads elsewhere now was closed: %v, %v", closed, err)
	}
	other := natOpening(t, "192.0.2.1", "10.9.0.4:22", 2200)
	other.Door.Name = "other"
	open(t, f, other)
	after := []string{"nat 192.0.2.1 2201 10.9.0.2:22", "nat 2001:db8::1 2200 [fd09::2]:22", "other 192.0.2.1 2200 10.9.0.4:22"}
	in(after...)
	f.Close()
	f = natFirewall(t, box, nil)
	ensure(t, f, natDoor(t, time.Minute), Door{DoorID: knock.DoorID{Name: "other"}, Ports: ports(t, "tcp/2200"), OnePort: true, Timeout: time.Minute})
	in(after...)
	ensure(t, f, natDoor(t, time.Minute))
	in(after[:2]...)
	if closed, err := f.CloseFor(knock.DoorID{Name: "nat"}, addr("192.0.2.1")); err != nil || len(closed) != 1 {
		t.Errorf("close: %v, %v", closed, err)
	}
	in(after[1])
	ensure(t, f)
	if got := ruleset(box); got != "" {
		t.Errorf("left:\n%s", got)
	}
}

// TestNATFaults: what cannot lead anywhere.
func TestNATFaults(t *testing.T) {
	t.Parallel()
	f := natFirewall(t, nettest.NewHost(t, "box"), nil)
	ensure(t, f, natDoor(t, time.Minute))
	for _, c := range []struct {
		o    Element
		want string
	}{
		{natOpening(t, "192.0.2.1", "[fd09::2]:22", 2200), "open door nat for 192.0.2.1: it cannot lead to [fd09::2]:22"},
		{natOpening(t, "192.0.2.1", "10.9.0.2:0", 2200), "open door nat for 192.0.2.1: it cannot lead to 10.9.0.2:0"},
		{natOpening(t, "192.0.2.1", "10.9.0.2:22", 2300), "open door nat for 192.0.2.1: the door does not open this port"},
	} {
		if _, err := f.Open(c.o); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestNATPutBack: what others take away is back, with the openings.
func TestNATPutBack(t *testing.T) {
	t.Parallel()
	client, box, _ := natSite(t)
	var n notices
	f := natFirewall(t, box, &n)
	f.noOwner = true
	ensure(t, f, natDoor(t, time.Minute))
	open(t, f, natOpening(t, nettest.Client6, "["+inner6+"]:23", 2200))
	before := restored.ReplaceAllString(ruleset(box), "")
	box.Run("nft", "flush", "ruleset")
	nettest.Eventually(t, "a notice", func() bool { return n.texts() != "" })
	if got := n.texts(); !strings.HasPrefix(got, "table inet knockd_nat was changed by ") || !strings.HasSuffix(got, "put back, with 1 openings") {
		t.Errorf("notice: %s", got)
	}
	if after := restored.ReplaceAllString(ruleset(box), ""); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	client.MustReach(nat6)
}

// TestNATOldKernel: without lookups into maps for the key alone.
func TestNATOldKernel(t *testing.T) {
	t.Parallel()
	client, box, _ := natSite(t)
	f := natFirewall(t, box, nil)
	f.opt.oneLookup = true
	ensure(t, f, natDoor(t, time.Minute))
	open(t, f, natOpening(t, nettest.Client4, inner4+":22", 2200))
	client.MustReach(nat4)
	if got := ruleset(box); strings.Contains(got, "dport @nat4_nat") {
		t.Errorf("two lookups:\n%s", got)
	}
}

// TestNATCleanup: --close-all and --cleanup know the table.
func TestNATCleanup(t *testing.T) {
	t.Parallel()
	f := natFirewall(t, nettest.NewHost(t, "box"), nil)
	ensure(t, f, natDoor(t, time.Minute))
	open(t, f, natOpening(t, "192.0.2.1", "10.9.0.2:22", 2200))
	netns := f.opt.NetNS
	f.mu.Lock()
	f.k.close()
	f.k = nil
	f.mu.Unlock()
	if done, err := CloseEverything(netns); err != nil || lines(event.Texts(done)) != "closed 1 openings in set inet knockd_nat nat4_nat" {
		t.Errorf("CloseEverything: %v\n%s", err, lines(event.Texts(done)))
	}
	if done, err := Cleanup(netns); err != nil || lines(event.Texts(done)) != "deleted table inet knockd_nat: its ports no longer lead elsewhere" {
		t.Errorf("Cleanup: %v\n%s", err, lines(event.Texts(done)))
	}
}

// TestNATReload: masquerading comes and goes, the openings stay.
func TestNATReload(t *testing.T) {
	t.Parallel()
	client, box, _ := natSite(t)
	f := natFirewall(t, box, nil)
	with := natDoor(t, time.Minute)
	without := with
	without.Masquerade = false
	ensure(t, f, without)
	open(t, f, natOpening(t, nettest.Client6, "["+inner6+"]:22", 2200))
	client.MustNotReach(nat6)
	plain := ruleset(box)
	ensure(t, f, with)
	client.MustReach(nat6)
	ensure(t, f, without)
	if got := ruleset(box); got != plain {
		t.Errorf("before:\n%s\nafter:\n%s", plain, got)
	}
}
