package nft

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// words writes openings for comparison, without the time that is left.
func words(list []Element) string {
	var all []string
	for _, o := range list {
		word := fmt.Sprintf("%s/%d %s", o.Door.Name, o.Door.N, o.Prefix)
		if o.Port != 0 {
			word += fmt.Sprintf(" %s/%d", o.Proto, o.Port)
		}
		if o.Timeout == 0 {
			word += " for ever"
		}
		all = append(all, word)
	}
	return strings.Join(all, ", ")
}

func list(t testing.TB, f *Firewall) []Element {
	t.Helper()
	all, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantList(t testing.TB, f *Firewall, want string) {
	t.Helper()
	if got := words(list(t, f)); got != want {
		t.Errorf("open: %s\nwant: %s", got, want)
	}
}

func TestExtend(t *testing.T) {
	t.Parallel()
	f := firewall(t, nettest.NewHost(t, "host"), Options{})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute})
	a := addr("192.0.2.7")
	for _, tt := range []struct {
		timeout  time.Duration
		min, max time.Duration
	}{
		{10 * time.Second, 9 * time.Second, 10 * time.Second},
		{0, 59 * time.Second, time.Minute},
		{20 * time.Second, 58 * time.Second, time.Minute}, // never shorter
		{2 * time.Hour, 2*time.Hour - time.Second, 2 * time.Hour},
	} {
		got := open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: a, Timeout: tt.timeout})
		all := list(t, f)
		if len(all) != 1 {
			t.Fatalf("%d openings", len(all))
		}
		for _, left := range []time.Duration{got.Timeout, all[0].Timeout} {
			if left < tt.min || left > tt.max {
				t.Errorf("after %v more: %v left, want %v to %v", tt.timeout, left, tt.min, tt.max)
			}
		}
	}
}

func TestForever(t *testing.T) {
	t.Parallel()
	f := firewall(t, nettest.NewHost(t, "host"), Options{})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22")})
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("192.0.2.7"), Timeout: time.Hour})
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("192.0.2.7")})
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("::ffff:192.0.2.8")})
	wantList(t, f, "ssh/1 192.0.2.7/32 for ever, ssh/1 192.0.2.8/32 for ever")
	// The door gets a cmd_timeout, then loses it: what is open stays so.
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute})
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("192.0.2.9")})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22")})
	wantList(t, f, "ssh/1 192.0.2.7/32 for ever, ssh/1 192.0.2.8/32 for ever, ssh/1 192.0.2.9/32")
}

func TestOpenFaults(t *testing.T) {
	t.Parallel()
	f := firewall(t, nettest.NewHost(t, "host"), Options{})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute},
		Door{DoorID: knock.DoorID{Name: "any"}, Ports: ports(t, "tcp/8000-8100"), OnePort: true})
	for _, tt := range []struct {
		o    Element
		want string
	}{
		{Element{Door: knock.DoorID{Name: "web"}, Addr: addr("192.0.2.7")}, "open door web for 192.0.2.7: there is no such native door"},
		{Element{Door: knock.DoorID{Name: "ssh", N: 2}, Addr: addr("192.0.2.7")}, "open door ssh for 192.0.2.7: there is no such native door"},
		{Element{Door: knock.DoorID{Name: "ssh"}}, "open door ssh for invalid IP: not an address"},
		{Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("192.0.2.7"), Timeout: 300 * time.Microsecond}, "open door ssh for 192.0.2.7: the time must be at least a second"},
		{Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("192.0.2.7"), Timeout: -1}, "open door ssh for 192.0.2.7: the time must be at least a second"},
		{Element{Door: knock.DoorID{Name: "any"}, Addr: addr("2001:db8::1"), Proto: 17, Port: 8000}, "open door any for 2001:db8::1: the door does not open this port"},
		{Element{Door: knock.DoorID{Name: "any"}, Addr: addr("2001:db8::1"), Proto: 6, Port: 8101}, "open door any for 2001:db8::1: the door does not open this port"},
	} {
		_, err := f.Open(tt.o)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%+v: %v, want %s", tt.o, err, tt.want)
		}
	}
	if _, err := f.CloseFor(knock.DoorID{Name: "web"}, addr("192.0.2.7")); err == nil || err.Error() != "close door web for 192.0.2.7: there is no such native door" {
		t.Errorf("close: %v", err)
	}
	wantList(t, f, "")
	f.Close()
	if _, err := f.Open(Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("192.0.2.7")}); err == nil || err.Error() != "open door ssh for 192.0.2.7: the native firewall is closed" {
		t.Errorf("after Close: %v", err)
	}
	for _, err := range []error{f.Close(), f.Close()} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestCloseFor(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	f := firewall(t, server, Options{})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22")})
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(nettest.Client4)})
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(nettest.Client6)})
	conn, err := client.Dial("tcp", nettest.Both("22")[0], nettest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	nettest.MustEcho(t, conn)

	closed, err := f.CloseFor(knock.DoorID{Name: "ssh"}, addr(nettest.Client4))
	if err != nil || words(closed) != "ssh/1 10.7.0.1/32 for ever" {
		t.Errorf("closed %v, %v", words(closed), err)
	}
	client.MustNotReach(nettest.Both("22")[0])
	client.MustReach(nettest.Both("22")[1])
	nettest.MustEcho(t, conn) // an established connection goes on
	closed, err = f.CloseFor(knock.DoorID{Name: "ssh", N: 0}, addr(nettest.Client4))
	if err != nil || len(closed) > 0 {
		t.Errorf("closed again: %v, %v", closed, err)
	}
	closed, err = f.CloseAll()
	if err != nil || words(closed) != "ssh/1 fd07::1/128 for ever" {
		t.Errorf("closed all: %v, %v", words(closed), err)
	}
	client.MustNotReach(nettest.Both("22")[1])
	wantList(t, f, "")
}

// TestEstablished: a connection lives on when the kernel closes the door.
func TestEstablished(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	f := firewall(t, server, Options{})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Second})
	for i, from := range []string{nettest.Client4, nettest.Client6} {
		open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr(from)})
		conn, err := client.Dial("tcp", nettest.Both("22")[i], nettest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		nettest.Eventually(t, "the door closes", func() bool { return !client.Reaches(nettest.Both("22")[i], nettest.Moment) })
		nettest.MustEcho(t, conn)
	}
}

func TestPrefix(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	client.AddAddress("eth0", "10.7.0.99/24")
	server.EchoTCP(":22")
	f := firewall(t, server, Options{})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute, PrefixLen4: 25, PrefixLen6: 56})
	client.MustNotReach(nettest.Both("22")[0])
	// Others of the same prefix are let in, and an overlap is no fault.
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("10.7.0.99")})
	got := open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("10.7.0.100")})
	if got.Prefix != netip.MustParsePrefix("10.7.0.0/25") {
		t.Errorf("opened %v", got.Prefix)
	}
	open(t, f, Element{Door: knock.DoorID{Name: "ssh"}, Addr: addr("fd07::abcd")})
	wantList(t, f, "ssh/1 10.7.0.0/25, ssh/1 fd07::/56")
	for _, a := range nettest.Both("22") {
		client.MustReach(a)
	}
	if _, err := f.CloseFor(knock.DoorID{Name: "ssh"}, addr("10.7.0.3")); err != nil {
		t.Error(err)
	}
	client.MustNotReach(nettest.Both("22")[0])
	// Another prefix length is another meaning: nothing is carried over.
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute, PrefixLen4: 25, PrefixLen6: 64})
	wantList(t, f, "")
}

func TestOnePort(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	for _, port := range []string{":8000", ":8001"} {
		server.EchoTCP(port)
	}
	f := firewall(t, server, Options{})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "any"}, Ports: ports(t, "tcp/8000-8100, udp/1-100"), OnePort: true, Timeout: time.Minute})
	for _, from := range []string{nettest.Client4, nettest.Client6} {
		open(t, f, Element{Door: knock.DoorID{Name: "any"}, Addr: addr(from), Proto: 6, Port: 8001})
		open(t, f, Element{Door: knock.DoorID{Name: "any"}, Addr: addr(from), Proto: 17, Port: 7})
	}
	wantList(t, f, "any/1 10.7.0.1/32 tcp/8001, any/1 10.7.0.1/32 udp/7, any/1 fd07::1/128 tcp/8001, any/1 fd07::1/128 udp/7")
	for i := range 2 {
		client.MustReach(nettest.Both("8001")[i])
		client.MustNotReach(nettest.Both("8000")[i])
	}
	f.Close()
	f = firewall(t, server, Options{})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "any"}, Ports: ports(t, "tcp/8000-8100, udp/1-100"), OnePort: true, Timeout: time.Minute})
	closed, err := f.CloseFor(knock.DoorID{Name: "any"}, addr(nettest.Client4))
	if err != nil || len(closed) != 2 {
		t.Errorf("closed %v, %v", closed, err)
	}
	wantList(t, f, "any/1 fd07::1/128 tcp/8001, any/1 fd07::1/128 udp/7")
}

// TestMany opens 10,000 addresses at once, from many goroutines; each door
// opens ten ports. The kernel closes them all.
func TestMany(t *testing.T) {
	t.Parallel()
	const many = 10000
	host := nettest.NewHost(t, "host")
	f := firewall(t, host, Options{})
	ensure(t, f, Door{DoorID: knock.DoorID{Name: "game"}, Ports: ports(t, "tcp/100-109"), Timeout: 5 * time.Second})
	started := time.Now()
	openMany(t, f, many)
	t.Logf("opened %d in %v", many, time.Since(started))
	if got := len(list(t, f)); got != many && time.Since(started) < 5*time.Second {
		t.Errorf("%d open", got)
	}
	nettest.Eventually(t, "the kernel closes all", func() bool {
		elements, err := elementsOf(f, f.doors["game"].v4)
		return err == nil && len(elements) == 0
	})
	if late := time.Since(started); late < 5*time.Second {
		t.Errorf("closed after %v", late)
	}
}

func openMany(t testing.TB, f *Firewall, many int) {
	t.Helper()
	var wg sync.WaitGroup
	const workers = 100
	for w := range workers {
		wg.Go(func() {
			for i := w; i < many; i += workers {
				a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
				if _, err := f.Open(Element{Door: knock.DoorID{Name: "game"}, Addr: a}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkOpen is the time from the call until the element is in the kernel.
func BenchmarkOpen(b *testing.B) {
	f := firewall(b, nettest.NewHost(b, "host"), Options{})
	ensure(b, f, Door{DoorID: knock.DoorID{Name: "game"}, Ports: ports(b, "tcp/100-109"), Timeout: 30 * time.Second})
	took := make([]time.Duration, 0, b.N)
	i := 0
	for b.Loop() {
		start := time.Now()
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i>>8) & 63, byte(i)})
		if _, err := f.Open(Element{Door: knock.DoorID{Name: "game"}, Addr: a}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
		i++
	}
	b.ReportMetric(float64(median(took).Microseconds()), "µs-median")
}

// BenchmarkOpenMany is 10,000 openings at once.
func BenchmarkOpenMany(b *testing.B) {
	f := firewall(b, nettest.NewHost(b, "host"), Options{})
	ensure(b, f, Door{DoorID: knock.DoorID{Name: "game"}, Ports: ports(b, "tcp/100-109"), Timeout: 30 * time.Second})
	for b.Loop() {
		openMany(b, f, 10000)
	}
}
