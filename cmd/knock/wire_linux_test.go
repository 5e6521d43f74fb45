package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

// asKnock makes the test binary be the command under test.
const asKnock = "KNOCK_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asKnock) != "" {
		main()
		return
	}
	// Most of the time these tests wait for packets.
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	nettest.Main(m)
}

// command is the command under test, to be run in a host.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Args[0] = "knock"
	cmd.Env = append(os.Environ(), asKnock+"=1", "HOME=/nonexistent", "XDG_CONFIG_HOME=")
	return cmd
}

// knockOn runs the command in a host.
func knockOn(t *testing.T, h *nettest.Host, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return finish(t, h, command(ctx, args...))
}

// finish runs a command in a host to its end.
func finish(t testing.TB, h *nettest.Host, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	if err := h.Start(cmd); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(start)}
}

// tap collects what an interface of a host sees come in, as lines of the form
// "10.7.0.1 tcp 7000 syn".
type tap struct {
	t     *testing.T
	file  *os.File
	mu    sync.Mutex
	lines []string
	times []time.Time
	done  chan struct{}
}

// newTap begins to listen on eth0 of a host.
func newTap(t *testing.T, h *nettest.Host) *tap { return newTapOn(t, h, "eth0") }

func newTapOn(t *testing.T, h *nettest.Host, ifname string) *tap {
	t.Helper()
	var fd int
	err := h.Do(func() (err error) {
		fd, err = packetSocket(ifname)
		return err
	})
	if err != nil {
		t.Fatal("listen on "+ifname+":", err)
	}
	p := &tap{t: t, file: os.NewFile(uintptr(fd), "tap"), done: make(chan struct{})}
	go p.read()
	t.Cleanup(func() { p.stop() })
	return p
}

// packetSocket opens a packet(7) socket for all that an interface sees.
func packetSocket(ifname string) (int, error) {
	all := uint16(unix.ETH_P_ALL)
	all = all<<8 | all>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	ifr, err := unix.NewIfreq(ifname)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: int(ifr.Uint32())})
	}
	if err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

func (p *tap) read() {
	defer close(p.done)
	buf := make([]byte, 65536)
	for {
		n, err := p.file.Read(buf)
		if err != nil {
			return
		}
		if line := describe(buf[:n]); line != "" {
			p.mu.Lock()
			p.lines = append(p.lines, line)
			p.times = append(p.times, time.Now())
			p.mu.Unlock()
		}
	}
}

// stop ends the collection a moment later, so that what is in the socket's
// queue is read, and returns what was seen.
func (p *tap) stop() []string {
	p.file.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	<-p.done
	p.file.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines
}

// from returns the lines of one source address, without it.
func (p *tap) from(src string) string {
	var out []string
	for _, line := range p.stop() {
		if rest, ok := strings.CutPrefix(line, src+" "); ok {
			out = append(out, rest)
		}
	}
	return strings.Join(out, "\n")
}

// describe renders a TCP or UDP packet, and nothing else.
func describe(ip []byte) string {
	first := gopacket.LayerType(layers.LayerTypeIPv4)
	if ip[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(ip, first, gopacket.Default)
	if p.NetworkLayer() == nil {
		return ""
	}
	src := p.NetworkLayer().NetworkFlow().Src().String()
	switch l := p.TransportLayer().(type) {
	case *layers.TCP:
		return fmt.Sprintf("%s tcp %d %s", src, l.DstPort, flagNames(l))
	case *layers.UDP:
		return fmt.Sprintf("%s udp %d %d", src, l.DstPort, len(l.Payload))
	}
	return ""
}

func flagNames(l *layers.TCP) string {
	var names []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"fin", l.FIN}, {"syn", l.SYN}, {"rst", l.RST}, {"psh", l.PSH}, {"ack", l.ACK}, {"urg", l.URG}} {
		if f.set {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ",")
}

// drop makes a host silent.
func drop(t *testing.T, h *nettest.Host) {
	t.Helper()
	nettest.NeedProgram(t, "nft")
	h.Run("nft", "add table inet silent; add chain inet silent in { type filter hook input priority 0 ; };"+
		" add rule inet silent in meta l4proto { tcp, udp } drop")
}

var timePattern = regexp.MustCompile(`after [0-9.]+ s`)

// fileWith returns a descriptor from which a text can be read.
func fileWith(t *testing.T, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.WriteString(text)
	w.Close()
	t.Cleanup(func() { r.Close() })
	return r
}
