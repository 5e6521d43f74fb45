package livetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"knockd/internal/conformance"
	domain "knockd/internal/knock"
	"knockd/internal/nettest"
)

// count is a configuration whose doors open by saying so in a file.
func countDoor(sequence, rest string) string {
	return fmt.Sprintf(`[options]
	logfile = LOG
[door]
	sequence = %s
	start_command = echo %%IP%% >> DIR/opened
%s
`, sequence, rest)
}

// opened returns the addresses that a countDoor was opened for.
func (d *daemon) opened() []string {
	data, _ := os.ReadFile(filepath.Join(filepath.Dir(d.log), "opened"))
	return strings.Fields(string(data))
}

// opensFor waits until a countDoor was opened for these addresses and no
// other. Commands run side by side, so their order means nothing.
func (d *daemon) opensFor(addrs ...string) {
	d.t.Helper()
	nettest.Eventually(d.t, fmt.Sprint("opened for ", addrs), func() bool { return len(d.opened()) >= len(addrs) })
	if got := d.opened(); fmt.Sprint(slices.Sorted(slices.Values(got))) != fmt.Sprint(slices.Sorted(slices.Values(addrs))) {
		d.t.Errorf("opened for %v, want %v", got, addrs)
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	h := nettest.NewHost(t, "alone")
	d := start(t, h, countDoor("7000,8000:udp", ""), "-i", "lo")
	syn(t, h, "127.0.0.1", "127.0.0.1", "7000", "8000:udp")
	d.opensFor("127.0.0.1")
	syn(t, h, "::1", "::1", "7000", "8000:udp")
	d.opensFor("127.0.0.1", "::1")
}

// TestAnyInterface: steps of one sequence may come in anywhere.
func TestAnyInterface(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	nettest.Join(nettest.Cable{Host: client, Interface: "eth1", Addresses: []string{"10.8.0.1/24"}},
		nettest.Cable{Host: server, Interface: "eth1", Addresses: []string{"10.8.0.2/24"}})
	for name, args := range map[string][]string{
		"any": {"-i", "any"}, "list": {"-i", "eth0,eth1"}, "repeated": {"-i", "eth0", "-i", "eth1"},
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, server, countDoor("7000,8000:udp,9000", ""), args...)
			syn(t, client, nettest.Client4, nettest.Server4, "7000", "8000:udp", "9000")
			syn(t, client, "10.8.0.1", "10.8.0.2", "7000", "8000:udp", "9000")
			d.opensFor(nettest.Client4, "10.8.0.1")
			// One source, two ways.
			client.Run("ip", "route", "replace", "10.8.0.2", "via", nettest.Server4, "src", nettest.Client4)
			syn(t, client, nettest.Client4, nettest.Server4, "7000")
			syn(t, client, nettest.Client4, "10.8.0.2", "8000:udp")
			client.Run("ip", "route", "del", "10.8.0.2")
			syn(t, client, nettest.Client4, nettest.Server4, "9000")
			d.opensFor(nettest.Client4, "10.8.0.1", nettest.Client4)
		})
	}
}

// TestListInFile: Interface is a list, and another interface is not heard.
func TestListInFile(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	for i, name := range []string{"eth1", "eth2"} {
		nettest.Join(nettest.Cable{Host: client, Interface: name, Addresses: []string{fmt.Sprintf("10.8.%d.1/24", i)}},
			nettest.Cable{Host: server, Interface: name, Addresses: []string{fmt.Sprintf("10.8.%d.2/24", i)}})
	}
	d := start(t, server, strings.Replace(countDoor("7000", ""), "[options]", "[options]\n\tInterface = eth0, eth1", 1))
	syn(t, client, "10.8.1.1", "10.8.1.2", "7000") // eth2
	syn(t, client, "10.8.0.1", "10.8.0.2", "7000")
	syn(t, client, nettest.Client4, nettest.Server4, "7000")
	d.opensFor("10.8.0.1", nettest.Client4)
}

// TestBroadcastIsNobodys: packets to everybody are no knock.
func TestBroadcastIsNobodys(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	for name, listen := range map[string]string{"any": "any", "eth0": "eth0"} {
		t.Run(name, func(t *testing.T) {
			d := start(t, server, countDoor("7000:udp", ""), "-i", listen)
			for _, dst := range []string{"10.7.0.255", "255.255.255.255", "224.0.0.1", "ff02::1"} {
				src := netip.MustParseAddr(nettest.Client4)
				if strings.Contains(dst, ":") {
					src = netip.MustParseAddr(nettest.Client6)
				}
				inject(t, client, "eth0", everybody, conformance.Frame(datagram(src, netip.MustParseAddr(dst), 7000))[12:])
			}
			syn(t, client, nettest.Client4, nettest.Server4, "7000:udp")
			d.opensFor(nettest.Client4)
		})
	}
}

// TestTaggedFrames: a knock that comes with a VLAN tag, or two, on the
// interface listened on.
func TestTaggedFrames(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, countDoor("7000:udp", ""))
	frame := conformance.Frame(datagram(netip.MustParseAddr(nettest.Client4), netip.MustParseAddr(nettest.Server4), 7000))
	tag := []byte{0x81, 0x00, 0x00, 0x05}
	outer := []byte{0x88, 0xa8, 0x00, 0x07}
	inject(t, client, "eth0", server.Hardware("eth0"), append(append([]byte{}, tag...), frame[12:]...))
	d.opensFor(nettest.Client4)
	inject(t, client, "eth0", server.Hardware("eth0"), append(append(append([]byte{}, outer...), tag...), frame[12:]...))
	d.opensFor(nettest.Client4, nettest.Client4)
}

// TestVLAN needs a kernel with 8021q.
func TestVLAN(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	for h, address := range map[*nettest.Host]string{client: "10.8.0.1/24", server: "10.8.0.2/24"} {
		if out, err := h.Try("ip", "link", "add", "link", "eth0", "name", "eth0.5", "type", "vlan", "id", "5"); err != nil {
			nettest.LacksKernel(t, "VLAN interfaces: "+out)
		}
		h.AddAddress("eth0.5", address)
		h.Run("ip", "link", "set", "eth0.5", "up")
	}
	for _, listen := range []string{"eth0.5", "any"} {
		d := start(t, server, countDoor("7000:udp,7000:udp,8000", ""), "-i", listen)
		for _, step := range []string{"7000:udp", "7000:udp", "8000"} {
			syn(t, client, "10.8.0.1", "10.8.0.2", step)
			time.Sleep(100 * time.Millisecond)
		}
		d.opensFor("10.8.0.1")
		d.end()
	}
}

// TestWireGuard: an interface without link headers, where the kernel has it.
func TestWireGuard(t *testing.T) {
	client, server := nettest.Pair(t)
	server.NeedLink("wireguard")
	nettest.NeedProgram(t, "wg")
	t.Parallel()
	hosts := [2]*nettest.Host{client, server}
	inside := [2]string{"10.9.0.1", "10.9.0.2"}
	outside := [2]string{nettest.Client4, nettest.Server4}
	var public [2]string
	for i, h := range hosts {
		key := filepath.Join(t.TempDir(), "key")
		nettest.Write(t, key, h.Run("wg", "genkey"))
		public[i] = strings.TrimSpace(h.Run("sh", "-c", "wg pubkey <"+key))
		h.Run("ip", "link", "add", "wg0", "type", "wireguard")
		h.Run("wg", "set", "wg0", "private-key", key, "listen-port", "51820")
		h.AddAddress("wg0", inside[i]+"/24")
		h.Run("ip", "link", "set", "wg0", "up")
	}
	for i, h := range hosts {
		h.Run("wg", "set", "wg0", "peer", public[1-i], "allowed-ips", inside[1-i]+"/32", "endpoint", outside[1-i]+":51820")
	}
	d := start(t, server, countDoor("7000:udp,8000", "tcpflags = syn"), "-i", "wg0")
	syn(t, client, inside[0], inside[1], "7000:udp", "8000")
	d.opensFor(inside[0])
}

// TestTun: an interface without link headers.
func TestTun(t *testing.T) {
	t.Parallel()
	server := nettest.NewHost(t, "server")
	tun := openTun(t, server, "tun0")
	server.AddAddress("tun0", "10.8.0.2/24")
	server.AddAddress("tun0", "fd08::2/64")
	server.Run("ip", "link", "set", "tun0", "up")
	d := start(t, server, countDoor("7000:udp,8000:udp", ""), "-i", "tun0")
	for _, c := range [][2]string{{"10.8.0.1", "10.8.0.2"}, {"fd08::1", "fd08::2"}} {
		for _, port := range []uint16{7000, 8000} {
			frame := conformance.Frame(datagram(netip.MustParseAddr(c[0]), netip.MustParseAddr(c[1]), port))
			if _, err := tun.Write(frame[14:]); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.opensFor("10.8.0.1", "fd08::1")
}

// openTun makes a tun interface on a host whose other end is the file.
func openTun(t *testing.T, h *nettest.Host, name string) *os.File {
	t.Helper()
	var tun *os.File
	err := h.Do(func() (err error) {
		fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		// TUNSETIFF with IFF_TUN | IFF_NO_PI (linux/if_tun.h).
		var request [40]byte
		copy(request[:15], name)
		binary.NativeEndian.PutUint16(request[16:], 0x0001|0x1000)
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), 0x400454ca, uintptr(unsafe.Pointer(&request))); errno != 0 {
			syscall.Close(fd)
			return errno
		}
		tun = os.NewFile(uintptr(fd), name)
		return nil
	})
	if errors.Is(err, os.ErrPermission) {
		nettest.Missing(t, "needs root to make a tun interface: %v", err)
	}
	if err != nil {
		nettest.LacksKernel(t, fmt.Sprintf("tun interfaces: %v", err))
	}
	t.Cleanup(func() { tun.Close() })
	return tun
}

func datagram(src, dst netip.Addr, port uint16) domain.Hit {
	return domain.Hit{Src: src, Dst: dst, SrcPort: 40000, DstPort: port, Proto: domain.UDP, PayloadLen: 1}
}

var everybody = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// inject sends a frame, given from its EtherType on, out of an interface.
func inject(t *testing.T, h *nettest.Host, ifname string, to, frame []byte) {
	t.Helper()
	if err := tryInject(t, h, ifname, to, frame); err != nil {
		t.Fatalf("inject: %v", err)
	}
}

func tryInject(t *testing.T, h *nettest.Host, ifname string, to, frame []byte) error {
	t.Helper()
	from := h.Hardware(ifname)
	return h.Do(func() error {
		ifc, err := net.InterfaceByName(ifname)
		if err != nil {
			return err
		}
		fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		return syscall.Sendto(fd, slices.Concat(to, from, frame), 0, &syscall.SockaddrLinklayer{Ifindex: ifc.Index, Halen: 6})
	})
}
