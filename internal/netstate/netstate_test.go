package netstate

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// text is a state in words: what the tests compare.
func text(s *State) string {
	var b strings.Builder
	for _, i := range s.Interfaces {
		fmt.Fprint(&b, i.Name)
		for _, n := range i.AltNames {
			fmt.Fprint(&b, "=", n)
		}
		if i.Loopback {
			fmt.Fprint(&b, " loopback")
		}
		if i.Up {
			fmt.Fprint(&b, " up")
		}
		for _, a := range i.Addrs {
			if !a.IsLinkLocalUnicast() { // they come from random hardware addresses
				fmt.Fprint(&b, " ", a)
			}
		}
		if s.Default == i.Index {
			fmt.Fprint(&b, " default")
		}
		fmt.Fprint(&b, "\n")
	}
	return b.String()
}

// watch starts a Watcher on a host.
func watch(t *testing.T, h *nettest.Host, routes bool) (w *Watcher, first *State) {
	t.Helper()
	if err := h.Do(func() (err error) {
		w, first, err = Watch(routes)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w, first
}

// await waits until the state is as wanted.
func await(t *testing.T, w *Watcher, want string) {
	t.Helper()
	last := "nothing"
	timeout := time.After(nettest.Patience)
	for {
		select {
		case s, ok := <-w.Changes():
			if !ok {
				t.Fatalf("the watcher ended: %v", w.Err())
			}
			if last = text(s); last == want {
				return
			}
		case <-timeout:
			t.Fatalf("got\n%s\nwant\n%s", last, want)
		}
	}
}

func ip(h *nettest.Host, args string) { h.Run("ip", strings.Fields(args)...) }

const lo = "lo loopback up 127.0.0.1 ::1\n"

func TestWatch(t *testing.T) {
	h := nettest.NewHost(t, "host")
	w, first := watch(t, h, false)
	if text(first) != lo {
		t.Fatalf("at first:\n%s", text(first))
	}
	for _, step := range []struct{ do, want string }{
		{"link add ea type veth peer name eb", "eb\nea\n"},
		{"link set ea up", "eb\nea up\n"},
		{"addr add 192.0.2.1/24 dev ea", "eb\nea up 192.0.2.1\n"},
		{"addr add 2001:db8::1/64 dev ea nodad", "eb\nea up 192.0.2.1 2001:db8::1\n"},
		{"addr add 198.51.100.1 peer 198.51.100.2 dev eb", "eb 198.51.100.1\nea up 192.0.2.1 2001:db8::1\n"},
		{"addr add 192.0.2.9/24 dev ea", "eb 198.51.100.1\nea up 192.0.2.1 192.0.2.9 2001:db8::1\n"},
		{"addr del 192.0.2.1/24 dev ea", "eb 198.51.100.1\nea up 2001:db8::1\n"}, // the second was its secondary
		{"link set eb name ec", "ec 198.51.100.1\nea up 2001:db8::1\n"},
		{"link property add dev ea altname other-name", "ec 198.51.100.1\nea=other-name up 2001:db8::1\n"},
		{"link set ea down", "ec 198.51.100.1\nea=other-name\n"}, // IPv6 loses its addresses
		{"link del ea", ""},
		{"link add ea type veth peer name eb", "eb\nea\n"},
	} {
		ip(h, step.do)
		await(t, w, lo+step.want)
	}
	if err := w.Close(); err != nil || w.Err() != nil {
		t.Errorf("Close: %v, %v", err, w.Err())
	}
	w.Close() // once more does no harm
}

// TestLabels: addresses bear labels, which follow when the interface is
// renamed.
func TestLabels(t *testing.T) {
	h := nettest.NewHost(t, "host")
	w, s := watch(t, h, false)
	named := func(name string) string {
		i, addrs, ok := s.Named(name)
		return fmt.Sprintf("%s%v%v", i.Name, addrs, ok)
	}
	for _, step := range []struct{ do, name, want string }{
		{"link add ea type veth peer name eb", "ea:x", "ea[]false"},
		{"addr add 192.0.2.1/24 dev ea", "ea:x", "ea[]false"},
		{"addr add 192.0.2.2/24 dev ea label ea:x", "ea:x", "ea[192.0.2.2]true"},
		{"addr add 192.0.2.3/24 dev ea label ea:xy", "ea:x", "ea[192.0.2.2]true"},
		{"addr add 192.0.2.4/24 dev ea label ea:x", "ea:x", "ea[192.0.2.2 192.0.2.4]true"},
		{"addr add 192.0.2.5/24 dev ea label other:x", "other:x", "[]false"},
		{"addr del 192.0.2.2/24 dev ea", "ea:x", "ea[192.0.2.4]true"},
		{"link set ea name ec", "ec:x", "ec[192.0.2.4 192.0.2.5]true"},
		{"link set ec mtu 1400", "ea:x", "[]false"},
		{"addr flush dev ec", "ec:x", "ec[]false"},
	} {
		ip(h, step.do)
		timeout := time.After(nettest.Patience)
		for named(step.name) != step.want {
			select {
			case s = <-w.Changes():
			case <-timeout:
				t.Fatalf("%s: %s is %s, want %s", step.do, step.name, named(step.name), step.want)
			}
		}
	}
}

// TestBridgePort checks that an interface that leaves its bridge is not taken
// for one that leaves the host.
func TestBridgePort(t *testing.T) {
	h := nettest.NewHost(t, "host")
	h.NeedLink("bridge")
	w, _ := watch(t, h, false)
	ip(h, "link add name br type bridge")
	ip(h, "link add ea type veth peer name eb")
	await(t, w, lo+"br\neb\nea\n")
	ip(h, "link set ea master br")
	ip(h, "link set ea nomaster")
	ip(h, "link set ea up")
	await(t, w, lo+"br\neb\nea up\n")
}

func TestDefaultRoute(t *testing.T) {
	h := nettest.NewHost(t, "host")
	ip(h, "link add ea type veth peer name eb")
	for _, s := range []string{"link set ea up", "link set eb up", "addr add 192.0.2.1/24 dev ea",
		"addr add 198.51.100.1/24 dev eb", "addr add 2001:db8::1/64 dev eb nodad"} {
		ip(h, s)
	}
	w, first := watch(t, h, true)
	a, b := "ea up 192.0.2.1", "eb up 198.51.100.1 2001:db8::1"
	if want := lo + b + "\n" + a + "\n"; text(first) != want {
		t.Fatalf("at first:\n%s\nwant\n%s", text(first), want)
	}
	onA, onB := lo+b+"\n"+a+" default\n", lo+b+" default\n"+a+"\n"
	for _, step := range []struct{ do, want string }{
		{"-6 route add default dev eb", onB},
		{"route add default via 192.0.2.254 metric 100", onA}, // IPv4 first
		{"route add default via 198.51.100.254 metric 50", onB},
		{"route del default via 198.51.100.254 metric 50", onA},
		{"route replace default via 198.51.100.254 metric 100", onB},
		{"route add 203.0.113.0/24 via 198.51.100.254", ""},
		{"route add default via 198.51.100.254 metric 10 table 77", ""},
		{"route add unreachable default metric 5", ""},
		{"route replace default metric 100 nexthop via 192.0.2.254 nexthop via 198.51.100.254", onA},
		{"route del default metric 100", onB}, // by IPv6
		{"-6 route del default", lo + b + "\n" + a + "\n"},
		{"route add default via 192.0.2.254", onA},
		{"link del ea", lo},
	} {
		ip(h, step.do)
		if step.want != "" {
			await(t, w, step.want)
		}
	}
	var s *State
	if err := h.Do(func() (err error) { s, err = Read(); return err }); err != nil || text(s) != lo {
		t.Errorf("Read: %v\n%s", err, text(s))
	}
}

// TestDefaultRoutesOnly checks that routes other than default ones wake nobody.
func TestDefaultRoutesOnly(t *testing.T) {
	var prog []bpf.Instruction
	for _, raw := range defaultRoutesOnly() {
		prog = append(prog, raw.Disassemble())
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		typ    uint16
		dstLen byte
		want   bool
	}{
		{unix.RTM_NEWROUTE, 0, true}, {unix.RTM_DELROUTE, 0, true},
		{unix.RTM_NEWROUTE, 24, false}, {unix.RTM_DELROUTE, 64, false},
		{unix.RTM_NEWLINK, 9, true}, {unix.RTM_DELADDR, 24, true},
	} {
		m := make([]byte, 28)
		binary.NativeEndian.PutUint16(m[4:], tt.typ)
		m[17] = tt.dstLen
		if n, err := vm.Run(m); err != nil || n >= len(m) != tt.want {
			t.Errorf("message %d with a prefix of %d: %d octets pass, %v", tt.typ, tt.dstLen, n, err)
		}
	}
}

// TestOverflow makes the kernel lose notifications: the state is right after all.
func TestOverflow(t *testing.T) {
	h := nettest.NewHost(t, "host")
	w, _ := watch(t, h, false)
	if err := w.events.SetReadBuffer(2048); err != nil {
		t.Fatal(err)
	}
	var batch strings.Builder
	batch.WriteString("link add ea type veth peer name eb\n")
	for i := range 250 {
		fmt.Fprintf(&batch, "addr add 10.1.%d.1/24 dev ea\n", i)
	}
	for i := range 249 {
		fmt.Fprintf(&batch, "addr del 10.1.%d.1/24 dev ea\n", i)
	}
	h.Run("sh", "-c", "ip -batch - <<'END'\n"+batch.String()+"END\n")
	await(t, w, lo+"eb\nea 10.1.249.1\n")
}

func TestState(t *testing.T) {
	addr := netip.MustParseAddr
	s := &State{Interfaces: []Interface{
		{Index: 1, Name: "lo", Addrs: []netip.Addr{addr("127.0.0.1")}},
		{Index: 4, Name: "eth0", AltNames: []string{"enp1s0"}, Addrs: []netip.Addr{addr("192.0.2.1"), addr("fe80::1")}},
		{Index: 9, Name: "br0", Addrs: []netip.Addr{addr("192.0.2.1"), addr("10.0.0.1")}},
	}}
	for name, want := range map[string]int{"eth0": 4, "enp1s0": 4, "br0": 9, "eth1": 0} {
		if i, ok := s.ByName(name); i.Index != want || ok != (want != 0) {
			t.Errorf("ByName(%s): %+v, %v", name, i, ok)
		}
	}
	for index, want := range map[int]string{1: "lo", 9: "br0", 5: ""} {
		if i, ok := s.ByIndex(index); i.Name != want || ok != (want != "") {
			t.Errorf("ByIndex(%d): %+v, %v", index, i, ok)
		}
	}
	for _, tt := range []struct {
		indexes []int
		want    string
	}{
		{nil, "[10.0.0.1 127.0.0.1 192.0.2.1 fe80::1]"},
		{[]int{}, "[]"},
		{[]int{4}, "[192.0.2.1 fe80::1]"},
		{[]int{9, 1}, "[10.0.0.1 127.0.0.1 192.0.2.1]"},
	} {
		if got := fmt.Sprint(s.Addrs(tt.indexes)); got != tt.want {
			t.Errorf("Addrs(%v): %s, want %s", tt.indexes, got, tt.want)
		}
	}
}

// FuzzApply feeds the table with messages: none makes it panic.
func FuzzApply(f *testing.F) {
	f.Add(uint16(unix.RTM_NEWLINK), append(make([]byte, 16), "\x08\x00\x03\x00lo\x00\x00"...))
	f.Add(uint16(unix.RTM_NEWADDR), append(make([]byte, 8), "\x08\x00\x01\x00\x7f\x00\x00\x01"...))
	f.Add(uint16(unix.RTM_NEWROUTE), append([]byte{2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0}, "\x08\x00\x04\x00\x07\x00\x00\x00"...))
	f.Fuzz(func(t *testing.T, typ uint16, data []byte) {
		table := newTable()
		table.apply(netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(typ)}, Data: data})
		for _, i := range table.state().Interfaces {
			if i.Index <= 0 {
				t.Errorf("index %d", i.Index)
			}
		}
		if r, ok := decodeDefault(data); ok && r.index <= 0 {
			t.Errorf("default route over interface %d", r.index)
		}
	})
}

// TestManyChanges makes random changes and compares the result with a fresh
// look at it; nothing of a Watcher is left when it is closed.
func TestManyChanges(t *testing.T) {
	h := nettest.NewHost(t, "host")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	goroutines := runtime.NumGoroutine()
	w, _ := watch(t, h, true)
	var batch strings.Builder
	names := []string{"v1", "v2", "v3"}
	for range 300 {
		n := names[r.IntN(len(names))]
		batch.WriteString([]string{
			fmt.Sprintf("link add %s type veth peer name %s-peer\n", n, n),
			fmt.Sprintf("link del %s\n", n),
			fmt.Sprintf("link set %s up\n", n),
			fmt.Sprintf("link set %s down\n", n),
			fmt.Sprintf("addr add 10.%d.0.1/24 dev %s\n", r.IntN(5), n),
			fmt.Sprintf("addr del 10.%d.0.1/24 dev %s\n", r.IntN(5), n),
			fmt.Sprintf("addr add 2001:db8:%d::1/64 dev %s\n", r.IntN(5), n),
			fmt.Sprintf("route replace default dev %s\n", n),
			"route del default\n",
		}[r.IntN(9)])
	}
	h.Run("sh", "-c", "ip -force -batch - 2>/dev/null <<'END' || true\n"+batch.String()+"END\n")
	ip(h, "link add last type veth peer name last-peer")
	timeout := time.After(nettest.Patience)
	for last := (&State{}); ; {
		select {
		case last = <-w.Changes():
		case <-time.After(20 * time.Millisecond):
		case <-timeout:
			var now *State
			h.Do(func() (err error) { now, err = Read(); return err })
			t.Fatalf("got\n%s\nthere is\n%s", text(last), text(now))
		}
		var now *State
		if err := h.Do(func() (err error) { now, err = Read(); return err }); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(last.Interfaces, func(i Interface) bool { return i.Name == "last" }) && text(now) == text(last) {
			break
		}
	}
	w.Close()
	for range 100 {
		if runtime.NumGoroutine() <= goroutines {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
}
