package capture

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"knockd/internal/event"
	"knockd/internal/netstate"
	"knockd/internal/nettest"
)

// followed is a Followed in use as the daemon uses it: a tracker's idea of
// what is local, and a log.
type followed struct {
	*Followed
	*reading
	mu   sync.Mutex
	last Listening
	news []string
}

func follow(t *testing.T, h *nettest.Host, w *FilterSpec, names ...string) *followed {
	t.Helper()
	f := &followed{}
	if err := h.Do(func() (err error) {
		f.Followed, err = Follow(names, w, func(e event.Event) { t.Log(e.Text()) })
		return err
	}); err != nil {
		t.Fatal(err)
	}
	f.take(f.Now())
	f.reading = read(f)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case l := <-f.Changes():
				f.take(l)
			case <-f.Followed.done:
				return
			}
		}
	}()
	t.Cleanup(func() { f.Close(); <-done })
	return f
}

func (f *followed) take(l Listening) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = l
	for _, e := range l.News {
		f.news = append(f.news, e.Text())
	}
}

// await waits for a line of news; lines before it are forgotten.
func (f *followed) await(t *testing.T, line string) {
	t.Helper()
	f.until(t, line, func() bool {
		i := slices.Index(f.news, line)
		if i >= 0 {
			f.news = f.news[i+1:]
		}
		return i >= 0
	})
}

// awaitLocal waits until an address is local, or is not.
func (f *followed) awaitLocal(t *testing.T, addr string, want bool) {
	t.Helper()
	f.until(t, addr, func() bool { return slices.Contains(f.last.Local, netip.MustParseAddr(addr)) == want })
}

func (f *followed) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(nettest.Patience); ; time.Sleep(time.Millisecond) {
		f.mu.Lock()
		if ok() {
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("waited for %q; there is %+v", what, f.last)
		}
	}
}

// quiet checks that no other packet comes than the one sent now.
func (f *followed) quiet(t *testing.T, from *nettest.Host, dst string, port uint16) {
	t.Helper()
	send(t, from, dst, port)
	f.expect(t, port)
}

func TestFollowInterface(t *testing.T) {
	client, server := nettest.NewHost(t, "client"), nettest.NewHost(t, "server")
	f := follow(t, server, wantUDP(7000, 8000), "eth0")
	f.await(t, "waiting for interface eth0")
	if f.WasActive() {
		t.Error("heard without an interface")
	}
	for range 3 { // late, and gone and back
		nettest.Wire(client, server, "eth0")
		f.await(t, "listening on eth0")
		f.awaitLocal(t, nettest.Server6, true)
		send(t, client, nettest.Server4, 7000)
		send(t, client, nettest.Server6, 8000)
		f.expect(t, 7000, 8000)
		server.Run("ip", "link", "del", "eth0")
		f.await(t, "waiting for interface eth0")
		f.awaitLocal(t, nettest.Server4, false)
	}
	if !f.WasActive() {
		t.Error("nothing heard")
	}

	nettest.Wire(client, server, "eth7") // renamed
	server.Run("ip", "link", "set", "eth7", "down")
	server.Run("ip", "link", "set", "eth7", "name", "eth0")
	server.Run("ip", "link", "set", "eth0", "up")
	f.await(t, "listening on eth0")
	send(t, client, nettest.Server4, 7000)
	f.expect(t, 7000)
	server.Run("ip", "link", "set", "eth0", "down")
	server.Run("ip", "link", "set", "eth0", "name", "eth8")
	server.Run("ip", "link", "set", "eth8", "up")
	f.await(t, "waiting for interface eth0")
	send(t, client, nettest.Server4, 7000) // unheard
	server.Run("ip", "link", "set", "eth8", "down")
	server.Run("ip", "link", "set", "eth8", "name", "eth0")
	server.Run("ip", "link", "set", "eth0", "up")
	f.await(t, "listening on eth0")
	f.quiet(t, client, nettest.Server4, 8000)
}

func TestFollowAddresses(t *testing.T) {
	client, server := nettest.Pair(t)
	f := follow(t, server, wantUDP(7000), "eth0")
	f.awaitLocal(t, nettest.Server4, true)
	server.Run("ip", "addr", "del", nettest.Server4+"/24", "dev", "eth0")
	server.Run("ip", "addr", "add", "10.7.0.99/24", "dev", "eth0")
	server.Run("ip", "addr", "add", "fd07::99/64", "dev", "eth0", "nodad")
	f.awaitLocal(t, nettest.Server4, false)
	f.awaitLocal(t, "10.7.0.99", true)
	f.awaitLocal(t, "fd07::99", true)
	for _, dst := range []string{"10.7.0.99", "fd07::99"} {
		send(t, client, dst, 7000)
		if p := f.next(t); p.Dst.String() != dst {
			t.Errorf("got %+v", p.Hit)
		}
	}
	f.awaitLocal(t, "127.0.0.1", false) // another interface's
}

// TestFollowTemporaryAddress makes addresses as privacy extensions do.
// TestFollowLabel: a label is listened on while addresses bear it, for these
// alone.
func TestFollowLabel(t *testing.T) {
	client, server := nettest.NewHost(t, "client"), nettest.NewHost(t, "server")
	nettest.Wire(client, server, "eth0")
	f := follow(t, server, wantUDP(7000, 8000), "eth0:door")
	f.await(t, "waiting for interface eth0:door")
	for range 2 {
		server.Run("ip", "addr", "add", "10.7.0.9/24", "dev", "eth0", "label", "eth0:door")
		f.await(t, "listening on eth0:door")
		f.awaitLocal(t, "10.7.0.9", true)
		f.awaitLocal(t, nettest.Server4, false)
		send(t, client, "10.7.0.9", 7000)
		f.expect(t, 7000)
		server.Run("ip", "addr", "del", "10.7.0.9/24", "dev", "eth0")
		f.await(t, "waiting for interface eth0:door")
		f.awaitLocal(t, "10.7.0.9", false)
	}
}

// TestChoose: names and labels of one interface, listened on once.
func TestChoose(t *testing.T) {
	addr := netip.MustParseAddr
	s := &netstate.State{Default: 2, Interfaces: []netstate.Interface{
		{Index: 1, Name: "lo", Addrs: []netip.Addr{addr("127.0.0.1")}},
		{Index: 2, Name: "eth0", AltNames: []string{"enp1s0"}, Addrs: []netip.Addr{addr("10.0.0.1"), addr("10.0.0.2"), addr("10.0.0.3"), addr("fd00::1")},
			Labels: map[netip.Addr]string{addr("10.0.0.2"): "eth0:a", addr("10.0.0.3"): "eth0:b"}},
	}}
	for names, want := range map[string]string{
		"eth0":                 "[eth0] [] [10.0.0.1 10.0.0.2 10.0.0.3 fd00::1] [2]",
		"enp1s0 default-route": "[eth0] [] [10.0.0.1 10.0.0.2 10.0.0.3 fd00::1] [2]",
		"eth0:b":               "[eth0:b] [] [10.0.0.3] [2]",
		"eth0:b eth0:a eth0:b": "[eth0:b eth0:a] [] [10.0.0.2 10.0.0.3] [2]",
		"eth0:a lo eth0":       "[eth0:a lo eth0] [] [10.0.0.1 10.0.0.2 10.0.0.3 127.0.0.1 fd00::1] [2 1]",
		"eth0:c eth1 eth0:a":   "[eth0:a] [eth0:c eth1] [10.0.0.2] [2]",
		"any":                  "[any] [] [10.0.0.1 10.0.0.2 10.0.0.3 127.0.0.1 fd00::1] []",
	} {
		l := choose(strings.Fields(names), s)
		if got := fmt.Sprint(l.On, l.Missing, l.Local, l.indexes); got != want {
			t.Errorf("%s: %s, want %s", names, got, want)
		}
	}
}

func TestFollowTemporaryAddress(t *testing.T) {
	client, server := nettest.Pair(t)
	f := follow(t, server, wantUDP(7000), "eth0")
	if err := server.Sysctl("net/ipv6/conf/eth0/use_tempaddr", "2"); err != nil {
		t.Skipf("the environment does not let us ask for temporary addresses: %v", err)
	}
	server.Run("ip", "addr", "add", "fd08::1/64", "dev", "eth0", "mngtmpaddr", "nodad", "valid_lft", "3600", "preferred_lft", "1800")
	client.AddAddress("eth0", "fd08::2/64")
	prefix := netip.MustParsePrefix("fd08::/64")
	var temporary netip.Addr
	f.until(t, "a temporary address", func() bool {
		for _, a := range f.last.Local {
			if prefix.Contains(a) && a != netip.MustParseAddr("fd08::1") {
				temporary = a
			}
		}
		return temporary.IsValid()
	})
	// It may be tentative still, and answer no neighbour's question.
	deadline := time.Now().Add(nettest.Patience)
	for ok := false; !ok; {
		if time.Now().After(deadline) {
			t.Fatal("no packet came")
		}
		send(t, client, temporary.String(), 7000)
		select {
		case p := <-f.packets:
			ok = p.Dst == temporary
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func TestFollowSeveral(t *testing.T) {
	client, server := nettest.Pair(t)
	other := nettest.NewHost(t, "other")
	f := follow(t, server, wantUDP(7000, 8000, 9000), "eth0", "eth1")
	f.await(t, "waiting for interface eth1")
	f.await(t, "listening on eth0")
	send(t, client, nettest.Server4, 7000)
	f.expect(t, 7000)
	nettest.Join(nettest.Cable{Host: other, Interface: "eth0", Addresses: []string{"10.8.0.1/24"}},
		nettest.Cable{Host: server, Interface: "eth1", Addresses: []string{"10.8.0.2/24"}})
	f.await(t, "listening on eth1")
	f.awaitLocal(t, "10.8.0.2", true)
	send(t, other, "10.8.0.2", 8000)
	f.expect(t, 8000)
	send(t, client, nettest.Server4, 9000)
	f.expect(t, 9000)
	send(t, server, "127.0.0.1", 7000) // not listened on
	server.Run("ip", "link", "del", "eth0")
	f.await(t, "waiting for interface eth0")
	f.quiet(t, other, "10.8.0.2", 8000)
}

func TestFollowAny(t *testing.T) {
	client, server := nettest.NewHost(t, "client"), nettest.NewHost(t, "server")
	f := follow(t, server, wantUDP(7000, 8000), Any)
	f.await(t, "listening on any")
	send(t, server, "127.0.0.1", 7000)
	f.expect(t, 7000)
	nettest.Wire(client, server, "eth0")
	f.awaitLocal(t, nettest.Server4, true)
	f.awaitLocal(t, "127.0.0.1", true)
	send(t, client, nettest.Server4, 7000, 8000)
	f.expect(t, 7000, 8000)
}

func TestFollowDefaultRoute(t *testing.T) {
	client, server := nettest.Pair(t)
	other := nettest.NewHost(t, "other")
	nettest.Join(nettest.Cable{Host: other, Interface: "eth0", Addresses: []string{"10.8.0.1/24"}},
		nettest.Cable{Host: server, Interface: "eth1", Addresses: []string{"10.8.0.2/24"}})
	f := follow(t, server, wantUDP(7000, 8000), DefaultRoute)
	f.await(t, "waiting for a default route")
	server.Run("ip", "route", "add", "default", "via", nettest.Client4)
	f.await(t, "listening on eth0")
	f.awaitLocal(t, nettest.Server4, true)
	f.awaitLocal(t, "10.8.0.2", false)
	send(t, client, nettest.Server4, 7000)
	f.expect(t, 7000)
	server.Run("ip", "route", "replace", "default", "via", "10.8.0.1")
	f.await(t, "listening on eth1")
	send(t, client, nettest.Server4, 7000)
	f.quiet(t, other, "10.8.0.2", 8000)
	server.Run("ip", "route", "del", "default")
	f.await(t, "waiting for a default route")
}

// TestFollowBridge checks that a packet is seen once that comes over a bridge
// and its port, and twice when it was sent twice.
func TestFollowBridge(t *testing.T) {
	client, server := nettest.Pair(t)
	server.NeedLink("bridge")
	server.Run("ip", "link", "add", "name", "br0", "type", "bridge")
	server.Run("ip", "addr", "flush", "dev", "eth0")
	server.Run("ip", "link", "set", "eth0", "master", "br0")
	server.Run("ip", "link", "set", "br0", "up")
	server.AddAddress("br0", nettest.Server4+"/24")
	client.Run("ip", "neigh", "replace", nettest.Server4, "lladdr", server.Hardware("br0").String(), "dev", "eth0")
	for _, names := range [][]string{{Any}, {"eth0", "br0"}, {"br0"}} {
		f := follow(t, server, wantUDP(7000, 8000, 9000), names...)
		send(t, client, nettest.Server4, 7000, 8000, 7000, 7000, 9000)
		f.expect(t, 7000, 8000, 7000, 7000, 9000)
		f.quiet(t, client, nettest.Server4, 8000)
	}
}
