package livetest

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"knockd/internal/conformance"
	"knockd/internal/nettest"
)

// knockUntil knocks until the door has opened once more. The first knocks may
// come before the daemon has noticed a change that the kernel has just made.
func knockUntil(t *testing.T, d *daemon, client *nettest.Host, from, to string, steps ...string) {
	t.Helper()
	before := strings.Count(d.text(), from+": door: OPEN SESAME")
	nettest.Eventually(t, "opened for "+from, func() bool {
		syn(t, client, from, to, steps...)
		time.Sleep(50 * time.Millisecond)
		return strings.Count(d.text(), from+": door: OPEN SESAME") > before
	})
}

func TestInterfaceLate(t *testing.T) {
	t.Parallel()
	client, server := nettest.NewHost(t, "client"), nettest.NewHost(t, "server")
	d := prepare(t, server, program(t, "knockd"), countDoor("7000:udp,8000", ""), "-i", "eth0")
	d.waitFor("waiting for interface eth0", 1)
	nettest.Wire(client, server, "eth0")
	d.waitFor("listening on eth0", 1)
	knockUntil(t, d, client, nettest.Client4, nettest.Server4, "7000:udp", "8000")
	knockUntil(t, d, client, nettest.Client6, nettest.Server6, "7000:udp", "8000")
}

// TestNeverListened: an interface that never came.
func TestNeverListened(t *testing.T) {
	t.Parallel()
	server := nettest.NewHost(t, "server")
	d := prepare(t, server, program(t, "knockd"), countDoor("7000", ""), "-i", "eth0")
	d.waitFor("waiting for interface eth0", 1)
	if status := d.stop(syscall.SIGTERM); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
}

// TestInterfaceGoneAndBack: openings live on, and the new one is heard.
func TestInterfaceGoneAndBack(t *testing.T) {
	t.Parallel()
	client, server := nettest.NewHost(t, "client"), nettest.NewHost(t, "server")
	nettest.Wire(client, server, "eth0")
	d := start(t, server, countDoor("7000:udp,8000", "cmd_timeout = 3600\n\tstop_command = echo closed >> DIR/opened"))
	knockUntil(t, d, client, nettest.Client4, nettest.Server4, "7000:udp", "8000")
	server.Run("ip", "link", "delete", "eth0")
	d.waitFor("waiting for interface eth0", 1)
	if got := d.opened(); len(got) != 1 {
		t.Errorf("%v", got)
	}
	nettest.Wire(client, server, "eth0")
	knockUntil(t, d, client, nettest.Client4, nettest.Server4, "7000:udp", "8000")
	server.Run("ip", "link", "set", "eth0", "down")
	server.Run("ip", "link", "set", "eth0", "up")
	nettest.Eventually(t, "the cable carries", func() bool { return !strings.Contains(client.Run("ip", "link", "show", "eth0"), "NO-CARRIER") })
	knockUntil(t, d, client, nettest.Client4, nettest.Server4, "7000:udp", "8000")
	if status := d.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d", status)
	}
	got := strings.Join(d.opened(), " ")
	if opened := strings.Count(got, nettest.Client4); opened == 0 || strings.Count(got, "closed") != opened {
		t.Errorf("opened and closed: %s", got)
	}
}

func TestInterfaceRenamed(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, countDoor("7000:udp", ""))
	server.Run("ip", "link", "set", "eth0", "down")
	server.Run("ip", "link", "set", "eth0", "name", "lan0")
	server.Run("ip", "link", "set", "lan0", "up")
	d.waitFor("waiting for interface eth0", 1)
	server.Run("ip", "link", "set", "lan0", "down")
	server.Run("ip", "link", "set", "lan0", "name", "eth0")
	server.Run("ip", "link", "set", "eth0", "up")
	knockUntil(t, d, client, nettest.Client4, nettest.Server4, "7000:udp")
}

// TestAddressReplaced while an attempt is open: it goes on at the new one.
func TestAddressReplaced(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, countDoor("7000:udp,8000:udp", "seq_timeout = 60"))
	syn(t, client, nettest.Client4, nettest.Server4, "7000:udp")
	d.waitFor("Stage 1", 1)
	server.Run("ip", "address", "del", nettest.Server4+"/24", "dev", "eth0")
	server.AddAddress("eth0", "10.7.0.9/24")
	nettest.Eventually(t, "stage 2 at the new address", func() bool {
		syn(t, client, nettest.Client4, "10.7.0.9", "8000:udp")
		time.Sleep(50 * time.Millisecond)
		return strings.Contains(d.text(), "OPEN SESAME")
	})
	// The old one is nobody's now.
	mac := server.Hardware("eth0")
	client.Run("ip", "neigh", "replace", nettest.Server4, "lladdr", mac.String(), "dev", "eth0")
	syn(t, client, nettest.Client4, nettest.Server4, "7000:udp")
	knockUntil(t, d, client, nettest.Client4, "10.7.0.9", "7000:udp", "8000:udp")
	if n := strings.Count(d.text(), "Stage 1"); n != 2 {
		t.Errorf("%d attempts began, want 2", n)
	}
}

// TestTemporaryAddress: an IPv6 address that the kernel has made by itself.
func TestTemporaryAddress(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, countDoor("7000:udp,8000", ""))
	if err := server.Sysctl("net/ipv6/conf/eth0/use_tempaddr", "2"); err != nil {
		nettest.LacksKernel(t, fmt.Sprintf("temporary addresses: %v", err))
	}
	server.Run("ip", "address", "add", "fd08::2/64", "dev", "eth0", "nodad", "mngtmpaddr")
	client.AddAddress("eth0", "fd08::1/64")
	var temporary string
	nettest.Eventually(t, "a temporary address", func() bool {
		for line := range strings.Lines(server.Run("ip", "-6", "-o", "address", "show", "dev", "eth0", "temporary")) {
			if f := strings.Fields(line); len(f) > 3 && !strings.Contains(line, "tentative") {
				temporary = netip.MustParsePrefix(f[3]).Addr().String()
			}
		}
		return temporary != ""
	})
	knockUntil(t, d, client, "fd08::1", temporary, "7000:udp", "8000")
	knockUntil(t, d, client, "fd08::1", "fd08::2", "7000:udp", "8000")
}

// changes is how many events TestManyChanges makes; the full number is 1,000.
var changes = flag.Int("changes", 100, "changes of links and addresses")

// TestManyChanges: links and addresses come and go while somebody knocks.
// Each knock that reaches the host on the interface, at an address that it
// has, opens the door; no other does; and nothing is left over.
func TestManyChanges(t *testing.T) {
	t.Parallel()
	random := nettest.Rand(t)
	s := &street{t: t, client: nettest.NewHost(t, "client"), server: nettest.NewHost(t, "server")}
	s.watch()
	nettest.Wire(s.client, s.server, "eth0")
	s.has = map[string]bool{nettest.Server4: true}
	s.up = true
	d := start(t, s.server, countDoor("7000:udp", "tcpflags = syn"))
	var before footprint
	expected := 0
	for i := range *changes {
		if i == *changes/2 {
			before = usage(t, d.cmd.Process.Pid)
		}
		s.change(random.IntN(8))
		time.Sleep(25 * time.Millisecond)
		to := []string{nettest.Server4, "10.7.0.9"}[random.IntN(2)]
		knock := s.knock(uint16(10000+i), to)
		if s.saw(knock, 25*time.Millisecond) && s.has[to] {
			expected++
			if !within(time.Second, func() bool { return strings.Count(d.text(), "OPEN SESAME") >= expected }) {
				t.Fatalf("change %d: a knock at %s was not seen (%d before it were)", i, to, expected-1)
			}
		}
		n := strings.Count(d.text(), "OPEN SESAME")
		if n == expected+1 && s.has[to] && s.saw(knock, nettest.Patience) {
			expected++ // on a busy machine the witness can be slower than the daemon
		}
		if n > expected {
			t.Fatalf("change %d: %d openings of %d right knocks", i, n, expected)
		}
	}
	if expected < *changes/10 {
		t.Errorf("only %d of %d knocks could be seen", expected, *changes)
	}
	t.Logf("%d changes, %d knocks seen", *changes, expected)
	// In the first half the ring's pages and the heap come into use.
	if after := usage(t, d.cmd.Process.Pid); after.files > before.files+2 || after.threads > before.threads+8 ||
		after.kilobytes > before.kilobytes+8192 {
		t.Errorf("half way %+v, at the end %+v", before, after)
	} else {
		t.Logf("half way %+v, at the end %+v", before, after)
	}
}

// street is what TestManyChanges turns upside down.
type street struct {
	t              *testing.T
	client, server *nettest.Host
	has            map[string]bool // the server's addresses
	up             bool
	seen           atomic.Int64 // the source port of the latest knock that came to the server
}

func (s *street) change(kind int) {
	switch kind {
	case 0:
		s.server.Run("ip", "link", "set", "eth0", "down")
		s.up = false
	case 1:
		s.server.Run("ip", "link", "delete", "eth0")
		nettest.Wire(s.client, s.server, "eth0")
		s.has, s.up = map[string]bool{nettest.Server4: true}, true
	case 2:
		s.server.Run("ip", "link", "set", "eth0", "down")
		s.server.Run("ip", "link", "set", "eth0", "name", "lan0")
		s.server.Run("ip", "link", "set", "lan0", "name", "eth0")
		s.server.Run("ip", "link", "set", "eth0", "up")
		s.up = true
	case 3, 4:
		address := []string{nettest.Server4, "10.7.0.9"}[kind-3]
		if s.has[address] {
			s.server.Run("ip", "address", "del", address+"/24", "dev", "eth0")
		} else {
			s.server.AddAddress("eth0", address+"/24")
		}
		// The last address takes its kin with it, if it was the first.
		s.has = map[string]bool{}
		for _, a := range []string{nettest.Server4, "10.7.0.9"} {
			s.has[a] = strings.Contains(s.server.Run("ip", "-4", "address", "show", "dev", "eth0"), a+"/")
		}
	default:
		if !s.up {
			s.server.Run("ip", "link", "set", "eth0", "up")
			s.up = true
		}
	}
}

// knock sends one datagram, known by its source port, which it returns; 0 if
// the cable is out.
func (s *street) knock(from uint16, to string) uint16 {
	hit := datagram(netip.MustParseAddr(nettest.Client4), netip.MustParseAddr(to), 7000)
	hit.SrcPort = from
	mac := s.server.Hardware("eth0")
	if err := tryInject(s.t, s.client, "eth0", mac, conformance.Frame(hit)[12:]); err != nil {
		return 0
	}
	return from
}

// saw reports whether a knock comes to the server within the time given.
func (s *street) saw(knock uint16, limit time.Duration) bool {
	return knock != 0 && within(limit, func() bool { return s.seen.Load() == int64(knock) })
}

func within(limit time.Duration, cond func() bool) bool {
	for deadline := time.Now().Add(limit); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// watch notes the datagrams to port 7000 that come to the server, whatever
// becomes of its interfaces: a packet socket that is bound to none.
func (s *street) watch() {
	err := s.server.Do(func() error {
		all := int(uint16(syscall.ETH_P_ALL)<<8 | uint16(syscall.ETH_P_ALL)>>8)
		fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, all)
		if err != nil {
			return err
		}
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Usec: 100_000})
		ended := make(chan struct{})
		s.t.Cleanup(func() { close(ended) })
		go func() {
			defer syscall.Close(fd)
			buf := make([]byte, 2048)
			for {
				n, _, err := syscall.Recvfrom(fd, buf, 0)
				if err == nil && n >= 24 && buf[0] == 0x45 && buf[9] == 17 && buf[22] == 7000>>8 && buf[23] == 7000&0xff {
					s.seen.Store(int64(buf[20])<<8 | int64(buf[21]))
				}
				select {
				case <-ended:
					return
				default:
				}
			}
		}()
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

type footprint struct{ files, threads, kilobytes int }

// usage is what a process holds.
func usage(t *testing.T, pid int) (u footprint) {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	u.files = len(files)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "VmRSS: %d kB", &u.kilobytes)
		fmt.Sscanf(line, "Threads: %d", &u.threads)
	}
	return u
}

// TestDefaultRoute: when nobody names an interface and there is no eth0, that
// of the default route is taken, and followed.
func TestDefaultRoute(t *testing.T) {
	t.Parallel()
	client, server := nettest.NewHost(t, "client"), nettest.NewHost(t, "server")
	for i, name := range []string{"lan0", "lan1"} {
		nettest.Join(nettest.Cable{Host: client, Interface: name, Addresses: []string{fmt.Sprintf("10.%d.0.1/24", i)}},
			nettest.Cable{Host: server, Interface: name, Addresses: []string{fmt.Sprintf("10.%d.0.2/24", i)}})
	}
	server.Run("ip", "route", "add", "default", "via", "10.0.0.1")
	d := start(t, server, countDoor("7000:udp,8000", ""))
	d.waitFor("no eth0", 1)
	d.waitFor("listening on lan0", 1)
	syn(t, client, "10.1.0.1", "10.1.0.2", "7000:udp", "8000")
	knockUntil(t, d, client, "10.0.0.1", "10.0.0.2", "7000:udp", "8000")
	server.Run("ip", "route", "replace", "default", "via", "10.1.0.1")
	d.waitFor("listening on lan1", 1)
	knockUntil(t, d, client, "10.1.0.1", "10.1.0.2", "7000:udp", "8000")
	if text, _, _ := strings.Cut(d.text(), "listening on lan1"); strings.Contains(text, "10.1.0.1") {
		t.Error("heard on lan1 before the route led there")
	}
}

// TestMissingInterfaceChecked: -t warns, and a name that can never be one is a
// fault.
func TestMissingInterfaceChecked(t *testing.T) {
	t.Parallel()
	h := nettest.NewHost(t, "h")
	conf := t.TempDir() + "/knockd.conf"
	nettest.Write(t, conf, "[options]\n\tStateDir = "+t.TempDir()+"/state\n[a]\n\tsequence = 7111,9333,8222\n\ttcpflags = syn\n\tcommand = true\n")
	status, stdout, stderr := outcome(t, h, program(t, "knockd"), "-t", "-c", conf, "-i", "eth7")
	if status != 0 || stdout != conf+": 1 door, 1 warning: nothing to listen on\n" || !like("knockd: warning: waiting for interface eth7: ...\n", stderr) {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	for _, name := range []string{"", "much-too-long-a-name", "a/b", "a b"} {
		for _, check := range []string{"-t", "-v"} {
			status, _, stderr := outcome(t, h, program(t, "knockd"), check, "-c", conf, "-i", name)
			if status != 2 || !like("knockd: -i: ...\nknockd: hint: ...\n", stderr) {
				t.Errorf("-i %q: status %d\n%s", name, status, stderr)
			}
		}
	}
}
