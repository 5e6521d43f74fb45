package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// inject sends a frame from an interface of a host as it is.
func inject(t *testing.T, h *nettest.Host, ifname string, frame []byte) {
	t.Helper()
	err := h.Do(func() error {
		i, err := net.InterfaceByName(ifname)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: i.Index, Protocol: binary.NativeEndian.Uint16(frame[12:])})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLiveTags checks that frames with VLAN tags are seen, how many there may
// be, whatever the kernel strips of them and whatever the tags look like.
func TestLiveTags(t *testing.T) {
	readers(t, func(t *testing.T) {
		client, server := nettest.Pair(t)
		macs := append(server.Hardware("eth0"), client.Hardware("eth0")...)
		r := read(listen(t, server, "eth0", wantUDP(1, 2, 3, 4, 5, 6, 7, 8, 9)))
		for i, tags := range []string{
			"\x08\x00",
			"\x81\x00\x00\x00\x08\x00",                 // priority only
			"\x81\x00\x00\x0a\x08\x00",                 // VLAN 10
			"\x81\x00\x45\x00\x08\x00",                 // looks like IPv4
			"\x88\xa8\x00\x0b\x81\x00\x00\x0a\x08\x00", // Q-in-Q
			"\x81\x00\x00\x0b\x81\x00\x00\x0a\x08\x00",
			"\x81\x00\x00\x0b\x81\x00\x45\x00\x08\x00",
			"\x88\xa8\x60\x0b\x81\x00\x60\x0a\x08\x00",
			"\x81\x00\x00\x0c\x81\x00\x00\x0b\x81\x00\x00\x0a\x08\x00",
		} {
			port := uint16(i + 1)
			frame := bytes.Join([][]byte{macs, []byte(tags), []byte(udp4(port))}, nil)
			inject(t, client, "eth0", append(frame, make([]byte, 32)...))
			if p := r.next(t); p.DstPort != port || p.Dst != local4 {
				t.Fatalf("tags %x: got %+v", tags, p.Hit)
			}
		}
	})
}

// TestLiveTagsIPv6 is the same with IPv6, on all interfaces.
func TestLiveTagsIPv6(t *testing.T) {
	client, server := nettest.Pair(t)
	macs := append(server.Hardware("eth0"), client.Hardware("eth0")...)
	r := read(listen(t, server, Any, wantUDP(1, 2, 3)))
	for i, tags := range []string{"\x86\xdd", "\x81\x00\x00\x0a\x86\xdd", "\x88\xa8\x60\x0b\x81\x00\x60\x0a\x86\xdd"} {
		inject(t, client, "eth0", bytes.Join([][]byte{macs, []byte(tags), []byte(udp6(uint16(i + 1)))}, nil))
		r.expect(t, uint16(i+1))
	}
}

// TestFollowVLAN checks that a packet is seen once that comes over a VLAN and
// its parent.
func TestFollowVLAN(t *testing.T) {
	client, server := nettest.Pair(t)
	for _, h := range []*nettest.Host{client, server} {
		out, err := h.Try("ip", "link", "add", "link", "eth0", "name", "vlan10", "type", "vlan", "id", "10")
		if err != nil && strings.Contains(out, "Unknown device type") {
			nettest.LacksKernel(t, "VLAN interfaces (8021q)")
		} else if err != nil {
			t.Fatal(out)
		}
		h.Run("ip", "link", "set", "vlan10", "up")
	}
	client.AddAddress("vlan10", "10.9.0.1/24")
	server.AddAddress("vlan10", "10.9.0.2/24")
	for _, name := range []string{Any, "vlan10", "eth0"} {
		f := follow(t, server, wantUDP(7000, 8000), name)
		send(t, client, "10.9.0.2", 7000, 8000, 7000)
		f.expect(t, 7000, 8000, 7000)
	}
}

// TestFollowTun knocks through a tunnel, which has no link header.
func TestFollowTun(t *testing.T) {
	server := nettest.NewHost(t, "server")
	f := follow(t, server, wantUDP(7000, 8000), "tun0")
	f.await(t, "waiting for interface tun0")
	var tun *os.File
	err := server.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		tun = os.NewFile(uintptr(fd), "tun0")
		req, err := unix.NewIfreq("tun0")
		if err != nil {
			return err
		}
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		nettest.LacksKernel(t, "tun")
	} else if errors.Is(err, os.ErrPermission) {
		nettest.Missing(t, "needs root to make a tun interface: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer tun.Close()
	server.Run("ip", "addr", "add", "192.0.2.2/24", "dev", "tun0")
	server.Run("ip", "link", "set", "tun0", "up")
	f.await(t, "listening on tun0")
	f.awaitLocal(t, "192.0.2.2", true)
	for _, octets := range []string{udp4(7000), udp6(8000)} {
		if _, err := tun.WriteString(octets); err != nil {
			t.Fatal(err)
		}
	}
	f.expect(t, 7000, 8000)
}

// TestFollowRouter knocks at a target behind a router, which listens on its
// outer or its inner side.
func TestFollowRouter(t *testing.T) {
	client, router, inside := nettest.NewHost(t, "client"), nettest.NewHost(t, "router"), nettest.NewHost(t, "inside")
	nettest.Join(nettest.Cable{Host: client, Interface: "eth0", Addresses: []string{"10.1.0.1/24", "fd01::1/64"}},
		nettest.Cable{Host: router, Interface: "outer", Addresses: []string{"10.1.0.2/24", "fd01::2/64"}})
	nettest.Join(nettest.Cable{Host: inside, Interface: "eth0", Addresses: []string{"10.2.0.1/24", "fd02::1/64"}},
		nettest.Cable{Host: router, Interface: "inner", Addresses: []string{"10.2.0.2/24", "fd02::2/64"}})
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if err := router.Sysctl(name, "1"); err != nil {
			t.Skipf("the environment does not let us make a router: %v", err)
		}
	}
	client.Run("ip", "route", "add", "default", "via", "10.1.0.2")
	client.Run("ip", "route", "add", "default", "via", "fd01::2")
	inside.Run("ip", "route", "add", "default", "via", "10.2.0.2")
	inside.Run("ip", "route", "add", "default", "via", "fd02::2")
	var w FilterSpec
	for _, target := range []string{"10.2.0.1", "fd02::1"} {
		w.AddDoor(&knock.Door{Sequence: []knock.Step{{Proto: knock.UDP, Port: 7000}, {Proto: knock.UDP, Port: 8000}}, Target: netip.MustParseAddr(target)})
	}
	for _, names := range [][]string{{"outer"}, {"inner"}, {Any}, {"outer", "inner"}} {
		f := follow(t, router, &w, names...)
		for _, target := range []string{"10.2.0.1", "fd02::1"} {
			send(t, client, target, 7000, 8000)
			for _, port := range []uint16{7000, 8000} {
				if p := f.next(t); p.DstPort != port || p.Dst != netip.MustParseAddr(target) {
					t.Errorf("on %v: got %+v", names, p.Hit)
				}
			}
		}
		f.quiet(t, client, "10.2.0.1", 7000)
	}
}
