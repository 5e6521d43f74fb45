package ruleset

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"

	"knockd/internal/kernellog"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// TestMain lets more tests run side by side than there are processors: they
// mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8")
	nettest.Main(m)
}

// A second address of the server, for doors with a target.
const other4, other6 = "10.7.0.3", "fd07::3"

// lab is a client that can send any packet, and a server with a ruleset.
type lab struct {
	t              testing.TB
	client, server *nettest.Host
	dir            string
	socket         int
	ifIndex        int
	from, to       net.HardwareAddr
	used           uint32 // numbers given to packets so far

	mu      sync.Mutex
	entries []kernellog.Entry
}

func newLab(t testing.TB) *lab {
	nettest.NeedRoot(t)
	nettest.NeedProgram(t, "nft")
	l := &lab{t: t, dir: t.TempDir()}
	l.client, l.server = nettest.Pair(t)
	l.server.AddAddress("eth0", other4+"/24")
	l.server.AddAddress("eth0", other6+"/64")
	l.server.Run("ip", "route", "add", "default", "via", nettest.Client4)
	l.server.Run("ip", "-6", "route", "add", "default", "via", nettest.Client6)
	l.openSocket()
	return l
}

func (l *lab) openSocket() {
	mac := func(h *nettest.Host) (i *net.Interface) {
		if err := h.Do(func() (err error) { i, err = net.InterfaceByName("eth0"); return err }); err != nil {
			l.t.Fatal(err)
		}
		return i
	}
	from := mac(l.client)
	l.from, l.ifIndex, l.to = from.HardwareAddr, from.Index, mac(l.server).HardwareAddr
	err := l.client.Do(func() (err error) {
		l.socket, err = syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { syscall.Close(l.socket) })
}

// frame returns the Ethernet frame of a hit.
func (l *lab) frame(h knock.Hit) []byte {
	eth := &layers.Ethernet{SrcMAC: l.from, DstMAC: l.to, EthernetType: layers.EthernetTypeIPv4}
	var ip gopacket.NetworkLayer
	proto := layers.IPProtocol(h.Proto)
	if h.Src.Is4() {
		ip = &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: h.Src.AsSlice(), DstIP: h.Dst.AsSlice()}
	} else {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: proto, SrcIP: h.Src.AsSlice(), DstIP: h.Dst.AsSlice()}
	}
	opt := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	buf := gopacket.NewSerializeBuffer()
	var l4 gopacket.SerializableLayer
	if h.Proto == knock.UDP {
		udp := &layers.UDP{SrcPort: layers.UDPPort(h.SrcPort), DstPort: layers.UDPPort(h.DstPort)}
		_ = udp.SetNetworkLayerForChecksum(ip)
		l4 = udp
	} else {
		f := func(b knock.Flags) bool { return h.Flags&b != 0 }
		tcp := &layers.TCP{SrcPort: layers.TCPPort(h.SrcPort), DstPort: layers.TCPPort(h.DstPort), Seq: h.Seq, Window: 1024,
			FIN: f(knock.FIN), SYN: f(knock.SYN), RST: f(knock.RST), PSH: f(knock.PSH), ACK: f(knock.ACK), URG: f(knock.URG)}
		_ = tcp.SetNetworkLayerForChecksum(ip)
		l4 = tcp
	}
	if err := gopacket.SerializeLayers(buf, opt, eth, ip.(gopacket.SerializableLayer), l4); err != nil {
		l.t.Fatal(err)
	}
	return buf.Bytes()
}

// pin keeps the calling goroutine's packets in order: a virtual cable has a
// queue for each processor, so a sender that moves overtakes itself.
func (l *lab) pin() {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil {
		l.t.Fatal(err)
	}
	for n, skip := 0, l.ifIndex%cpus.Count(); ; n++ {
		if cpus.IsSet(n) {
			if skip == 0 {
				cpus.Zero()
				cpus.Set(n)
				break
			}
			skip--
		}
	}
	if err := unix.SchedSetaffinity(0, &cpus); err != nil {
		l.t.Fatal(err)
	}
}

// send puts a hit on the wire.
func (l *lab) send(h knock.Hit) {
	to := &syscall.SockaddrLinklayer{Ifindex: l.ifIndex, Protocol: binary.BigEndian.Uint16([]byte{0, 8})}
	for {
		err := syscall.Sendto(l.socket, l.frame(h), 0, to)
		if err == nil {
			return
		}
		if err != syscall.ENOBUFS && err != syscall.EINTR {
			l.t.Fatal(err)
		}
	}
}

// probe counts what arrives, before any ruleset sees it. Nothing answers: what
// was answered and comes again would be of an established connection.
const probe = `table inet probe {
	chain out { type filter hook output priority -300; policy accept; ip daddr 10.99.0.0/16 drop; ip6 daddr fd99::/16 drop; }
	chain in { type filter hook input priority filter - 11; policy accept; ip saddr 10.99.0.0/16 counter; ip6 saddr fd99::/16 counter; }
}
`

// arrived returns how many packets came as far as the rulesets.
func (l *lab) arrived() (n int) {
	for _, line := range strings.Split(l.server.Run("nft", "list", "table", "inet", "probe"), "\n") {
		if _, after, ok := strings.Cut(line, "counter packets "); ok {
			v, _ := strconv.Atoi(strings.Fields(after)[0])
			n += v
		}
	}
	return n
}

// load loads a ruleset into the server.
func (l *lab) load(program string, rules []byte, args ...string) {
	l.t.Helper()
	file := l.dir + "/rules"
	if err := os.WriteFile(file, rules, 0o600); err != nil {
		l.t.Fatal(err)
	}
	if out, err := l.server.Try(program, append(args, file)...); err != nil || out != "" {
		l.t.Fatalf("%s: %v\n%s\n%s", program, err, out, rules)
	}
}

func (l *lab) loadNft(doors []*Door, opt Options) {
	l.t.Helper()
	rules, err := Nftables(doors, opt)
	if err != nil {
		l.t.Fatal(err)
	}
	l.load("nft", rules, "-f")
}

// loadIptables loads the files for both families in place of all else.
func (l *lab) loadIptables(flavour string, doors []*Door, opt Options) {
	l.t.Helper()
	for _, program := range []string{"iptables", "ip6tables"} {
		opt.IPv6 = program == "ip6tables"
		rules, err := Iptables(doors, opt)
		if err != nil {
			l.t.Fatal(err)
		}
		l.load(program+"-"+flavour+"-restore", rules, "--wait=60")
	}
}

// listen gathers what the server's rules log until the test ends.
func (l *lab) listen() {
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	each := func(e kernellog.Entry) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.entries = append(l.entries, e)
	}
	go func() {
		done <- l.server.Do(func() error {
			return kernellog.Listen(ctx, DefaultGroup, func() { close(ready) }, each, func() { l.t.Error("log entries lost") })
		})
	}()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- nil
		l.t.Fatal(err)
	}
}

// logged returns the lines logged about doors whose name has the given ending,
// by source in order, once there are at least n and no more come. All that was
// logged before is forgotten.
func (l *lab) logged(n int, ending string) map[netip.Addr][]string {
	_, count := l.gathered(ending)
	for deadline := time.Now().Add(10 * time.Second); count < n && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
		_, count = l.gathered(ending)
	}
	time.Sleep(150 * time.Millisecond)
	lines, _ := l.gathered(ending)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
	return lines
}

func (l *lab) gathered(ending string) (lines map[netip.Addr][]string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines = map[netip.Addr][]string{}
	for _, e := range l.entries {
		name, stage, ok := ParseLogPrefix(e.Prefix)
		if !ok {
			l.t.Errorf("strange prefix %q", e.Prefix)
		}
		text := name + ": " + Opened
		if stage > 0 {
			text = fmt.Sprintf("%s: Stage %d", name, stage)
		}
		if strings.HasSuffix(name, ending) {
			lines[e.Src] = append(lines[e.Src], text)
			n++
		}
	}
	return lines, n
}
