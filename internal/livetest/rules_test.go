package livetest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"knockd/internal/conformance"
	domain "knockd/internal/knock"
	"knockd/internal/nettest"
)

// synFlood sends SYNs from random addresses and ports to a port, or to random
// ones if that is 0, as fast as it can, until stop is called, which says how many
// they were.
func synFlood(t *testing.T, from, to *nettest.Host, port uint16) (stop func() int) {
	h := domain.Hit{Src: netip.MustParseAddr("11.0.0.1"), Dst: netip.MustParseAddr(nettest.Server4), Proto: domain.TCP, Flags: domain.SYN}
	frame := slices.Concat(to.Hardware("eth0"), from.Hardware("eth0"), conformance.Frame(h)[12:])
	var fd, index int
	err := from.Do(func() (err error) {
		ifc, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		index = ifc.Index
		fd, err = syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var ended atomic.Bool
	sent := make(chan int)
	go func() {
		n := 0
		for ; !ended.Load(); n++ {
			binary.BigEndian.PutUint32(frame[14+12:], 0x0b000000|rand.Uint32()>>8)
			binary.BigEndian.PutUint32(frame[14+20:], rand.Uint32()) // both ports
			if port != 0 {
				binary.BigEndian.PutUint16(frame[14+22:], port)
			}
			syscall.Sendto(fd, frame, 0, &syscall.SockaddrLinklayer{Ifindex: index, Halen: 6})
		}
		syscall.Close(fd)
		sent <- n
	}()
	return func() int {
		ended.Store(true)
		return <-sent
	}
}

// cpuTime is how long a daemon has worked.
func (d *daemon) cpuTime() time.Duration {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// TestStrictUnderFlood: a flood of SYNs to random ports hinders nobody at a
// strict door.
func TestStrictUnderFlood(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, "[options]\n\tlogfile = LOG\n[door]\n\tsequence = 7000,8000:udp,9000\n\tstrict = yes\n\tcommand = true\n")
	before, began := d.cpuTime(), time.Now()
	stop := synFlood(t, client, server, 0)
	for i := range 20 {
		syn(t, client, nettest.Client4, nettest.Server4, "7000", "8000:udp", "9000")
		d.waitFor(nettest.Client4+": door: OPEN SESAME", i+1)
	}
	if long {
		time.Sleep(10 * time.Second) // for the measurement alone
	}
	took, worked := time.Since(began), d.cpuTime()-before
	n := stop()
	t.Logf("20 of 20 during %d SYNs in %v; the daemon took %v, %d ns a packet", n, took, worked, worked.Nanoseconds()/int64(n))
	if n < 1000 {
		t.Errorf("only %d SYNs: no flood", n)
	}
}

// TestReloadStrict: with a strict door the kernel's filter lets all through
// that it needs, and without one no longer.
func TestReloadStrict(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	config := func(n int, keys string) string {
		return fmt.Sprintf("[options]\n\tlogfile = LOG\n[door%d]\n\tsequence = 7000,9000\n\ttcpflags = syn\n\tcommand = true\n%s\n"+
			"[loaded%d]\n\tsequence = %d:udp\n\tcommand = true\n", n, keys, n, 10+n)
	}
	d := start(t, server, config(0, ""))
	for n, strict := range []bool{false, true, false} {
		if n > 0 {
			d.configure(config(n, map[bool]string{true: "strict = yes"}[strict]))
			d.reload(n)
			nettest.Eventually(t, "the new configuration", func() bool {
				syn(t, client, nettest.Client6, nettest.Server6, fmt.Sprintf("%d:udp", 10+n))
				return strings.Contains(d.text(), fmt.Sprintf("loaded%d: OPEN", n))
			})
		}
		syn(t, client, nettest.Client4, nettest.Server4, "7000", "22", "9000", fmt.Sprintf("%d:udp", 10+n))
		d.waitFor(fmt.Sprintf("10.7.0.1: loaded%d: OPEN SESAME", n), 1)
		if got := strings.Contains(d.text(), fmt.Sprintf("10.7.0.1: door%d: OPEN SESAME", n)); got == strict {
			t.Errorf("configuration %d: opened %v", n, got)
		}
	}
}

// TestTrafficDuringStrictKnock: what the same client may do meanwhile.
func TestTrafficDuringStrictKnock(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	server.EchoTCP(":443")
	server.EchoUDP(nettest.Server4 + ":60001")
	talk := func(conn net.Conn) {
		conn.SetDeadline(time.Now().Add(nettest.Patience))
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	dial := func(network, address string) net.Conn {
		conn, err := client.Dial(network, address, nettest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	ssh, mosh := dial("tcp", ssh4), dial("udp", nettest.Server4+":60001")
	https := dial("tcp", nettest.Server4+":443")
	for _, c := range []struct {
		name, ignore string
		traffic      func()
		opens        bool
	}{
		{"nothing", "", func() {}, true},
		{"established SSH", "", func() { talk(ssh) }, true},
		{"established HTTPS", "", func() { talk(https) }, true},
		{"HTTPS that ends", "", func() { talk(https); https.Close() }, true},
		{"new HTTPS connection", "", func() { talk(dial("tcp", nettest.Server4+":443")) }, false},
		{"new HTTPS connection, ignored", "strict_ignore = tcp/443", func() { talk(dial("tcp", nettest.Server4+":443")) }, true},
		{"new HTTPS connection, UDP ignored", "strict_ignore = udp/443", func() { talk(dial("tcp", nettest.Server4+":443")) }, false},
		{"mosh", "", func() { talk(mosh) }, false},
		{"mosh, ignored", "strict_ignore = tcp/443, udp/60000-61000", func() { talk(mosh) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := start(t, server, "[options]\n\tlogfile = LOG\n[door]\n\tsequence = 7000,8000:udp,9000\n\tstrict = yes\n\tcommand = true\n"+c.ignore+
				"\n[end]\n\tsequence = 5:udp\n\tcommand = true\n")
			syn(t, client, nettest.Client4, nettest.Server4, "7000")
			d.waitFor("door: Stage 1", 1)
			c.traffic()
			syn(t, client, nettest.Client4, nettest.Server4, "8000:udp", "9000")
			if c.opens {
				d.waitFor("door: OPEN SESAME", 1)
				return
			}
			// Somebody else's knock shows that all before it was decided.
			client.AddAddress("eth0", "10.7.0.77/24")
			syn(t, client, "10.7.0.77", nettest.Server4, "5:udp")
			client.Run("ip", "address", "del", "10.7.0.77/24", "dev", "eth0")
			d.waitFor("end: OPEN SESAME", 1)
			d.lacks("door: Stage 2")
		})
	}
}

// TestNamedPort: the knock says which port, and only that one opens.
func TestNamedPort(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":8042")
	server.EchoTCP(":8043")
	d := start(t, server, `[options]
	logfile = LOG
[web]
	sequence = 7000,*:udp
	open_ports = 8000-8100
	open = tcp/*
	cmd_timeout = 4
	command = echo "$KNOCK_DOOR %DOOR% $KNOCK_PROTO/$KNOCK_PORT %PROTO%/%PORT% $KNOCK_IP %IP%" >> DIR/opened
`)
	one, two := nettest.Server4+":8042", nettest.Server4+":8043"
	shut(t, client, one)
	shut(t, client, two)
	syn(t, client, nettest.Client4, nettest.Server4, "7000", "8042:udp")
	opens(t, client, one)
	shut(t, client, two)
	want := "web web udp/8042 udp/8042 10.7.0.1 10.7.0.1"
	nettest.Eventually(t, want, func() bool { return strings.Join(d.opened(), " ") == want })
	// The end of one opening leaves the other.
	time.Sleep(2 * time.Second)
	again := time.Now()
	syn(t, client, nettest.Client4, nettest.Server4, "7000", "8043:udp")
	opens(t, client, two)
	closes(t, client, one)
	d.waitFor("web: closed for 10.7.0.1", 1)
	if open := reaches(client, two); !open && time.Since(again) < 4*time.Second {
		t.Error("both ports closed together")
	}
	closes(t, client, two)
}

// TestPrefixAndClose: a door for a whole network, and one that closes it.
func TestPrefixAndClose(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.EchoTCP(":22")
	d := start(t, server, `[options]
	logfile = LOG
[ssh]
	sequence = 7000,9000
	strict = yes
	open = tcp/22
	open_prefix_4 = 24
	open_prefix_6 = 64
	cmd_timeout = 600
	start_command = echo start-%IP% >> DIR/opened
	stop_command = echo stop-%IP% >> DIR/opened
[shut]
	sequence = 9000,7000
	close = ssh
`)
	client.AddAddress("eth0", "10.7.0.9/24")
	client.AddAddress("eth0", "10.7.1.9/24")
	server.Run("ip", "route", "add", "10.7.1.0/24", "dev", "eth0")
	other, outside := func() bool { return reachesFrom(client, "10.7.0.9", ssh4) }, func() bool { return reachesFrom(client, "10.7.1.9", ssh4) }
	shut(t, client, ssh4)
	syn(t, client, nettest.Client4, nettest.Server4, "7000", "9000")
	opens(t, client, ssh4)
	if !other() || outside() {
		t.Error("not what the prefix holds was opened")
	}
	syn(t, client, nettest.Client6, nettest.Server6, "7000", "9000")
	opens(t, client, ssh6)
	// One address of the network closes what another has opened.
	syn(t, client, "10.7.0.9", nettest.Server4, "9000", "7000")
	closes(t, client, ssh4)
	d.waitFor("ssh: closed for 10.7.0.0/24: knock at shut", 1)
	d.waitFor("10.7.0.1: ssh: closed early: knock at shut", 1)
	if !reaches(client, ssh6) {
		t.Error("the other family was closed too")
	}
	want := "start-10.7.0.0/24 start-fd07::/64 stop-10.7.0.0/24" // in any order: they run side by side
	nettest.Eventually(t, want, func() bool {
		ran := d.opened()
		slices.Sort(ran)
		return strings.Join(ran, " ") == want
	})
}

func reachesFrom(h *nettest.Host, from, to string) bool {
	err := h.Do(func() error {
		dialer := net.Dialer{Timeout: shutOff, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}
		conn, err := dialer.Dial("tcp", to)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return err == nil
}

// TestWakeOnConnect: the shipped example, without root: of a busy port only the
// first packet counts.
func TestWakeOnConnect(t *testing.T) {
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "setpriv")
	t.Parallel()
	client, server := nettest.Pair(t)
	src, err := os.ReadFile("../../configs/wake-on-connect.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := nobodysDir(t)
	conf := strings.NewReplacer("/var/lib/knockd-wake", dir+"/state", "\tUseSyslog\n", "",
		"/usr/bin/wakeonlan", "echo >> "+dir+"/opened wake", "/usr/bin/logger -t wake", "echo >> "+dir+"/opened",
		"192.0.2.0/24, ", "10.7.0.0/24, ").Replace(string(src))
	nettest.Write(t, dir+"/knockd.conf", conf)
	d := prepareCommand(t, server, dir+"/log", "setpriv", slices.Concat(asNobody,
		[]string{dir + "/knockd", "-c", dir + "/knockd.conf", "-g", dir + "/log"})...)
	d.waitFor("starting up, listening on eth0", 1)
	client.Run("ip", "route", "add", "192.0.2.20", "via", nettest.Server4)
	for range 10 {
		syn(t, client, nettest.Client4, "192.0.2.20", "25565")
	}
	for i := range 300 {
		client.Send(nettest.Server4+":2456", make([]byte, 1200-4*i))
	}
	d.waitFor("valheim: OPEN SESAME", 1)
	want := []string{"00:00:5e:00:53:20", "10.7.0.1", "udp/2456", "valheim:", "wake", "wants"}
	nettest.Eventually(t, fmt.Sprint(want), func() bool {
		return fmt.Sprint(slices.Sorted(slices.Values(d.opened()))) == fmt.Sprint(want)
	})
	if n := strings.Count(d.text(), "OPEN SESAME"); n != 2 {
		t.Errorf("%d openings, want 2", n)
	}
}
