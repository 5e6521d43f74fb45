package ruleset

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// BenchmarkRuleset: how many packets one processor can take in a second with 1,
// 10 and 100 doors, the sender's work included: first knocks at a door from ever new
// addresses, knocks of fifty addresses that have all knocked before, and
// packets that are no knock.
func BenchmarkRuleset(b *testing.B) {
	for _, be := range backEnds() {
		for _, n := range []int{1, 10, 100} {
			doors := testDoors(n)
			for _, c := range []struct {
				what string
				port uint16
				many uint32
			}{
				{"first", doors[n/2].Sequence[0].Port, 1 << 24},
				{"again", doors[n/2].Sequence[0].Port, 50},
				{"none", 12345, 1 << 24},
			} {
				b.Run(fmt.Sprintf("%s/doors=%d/%s", be.name, n, c.what), func(b *testing.B) {
					if flavour, ok := strings.CutPrefix(be.name, "iptables-"); ok {
						nettest.NeedProgram(b, "iptables-"+flavour+"-restore")
						nettest.NeedRealRoot(b) // who alone may send so many rules at once
					}
					l := newLab(b)
					l.pin()
					defer runtime.UnlockOSThread()
					be.load(l, doors, Options{})
					f := l.newFlood(c.port)
					f.many = c.many
					start := cpuTime()
					for b.Loop() {
						f.send()
					}
					used := cpuTime() - start
					b.ReportMetric(float64(b.N)/used.Seconds(), "packets/s")
				})
			}
		}
	}
}

// cpuTime is what the calling thread has used, the kernel's work for it
// included.
func cpuTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err) // since Linux 2.6.12 it does not fail
	}
	return time.Duration(ts.Nano())
}

// flood sends SYNs to one port from ever new addresses.
type flood struct {
	l     *lab
	frame []byte
	to    *syscall.SockaddrLinklayer
	n     uint32
	many  uint32 // how many addresses there are
}

func (l *lab) newFlood(port uint16) *flood {
	h := knock.Hit{Src: netip.MustParseAddr("11.0.0.0"), Dst: netip.MustParseAddr(nettest.Server4), DstPort: port, Proto: knock.TCP, Flags: knock.SYN}
	l.server.Run("ip", "route", "replace", "blackhole", "11.0.0.0/8") // nothing answers them
	to := &syscall.SockaddrLinklayer{Ifindex: l.ifIndex, Protocol: binary.BigEndian.Uint16([]byte{0, 8})}
	return &flood{l: l, frame: l.frame(h), to: to, many: 1 << 24}
}

// Where the fields of a frame are that differ.
const (
	ipSum, ipSrc = 14 + 10, 14 + 12
	tcpSrc       = 14 + 20
	tcpSum       = tcpSrc + 16
)

func (f *flood) send() {
	f.n++
	f.set(ipSrc+2, uint16(f.n%f.many), ipSum, tcpSum)
	f.set(ipSrc, 11<<8|uint16(f.n%f.many>>16), ipSum, tcpSum)
	f.set(tcpSrc, uint16(1024+f.n/f.many*7+f.n%60000), tcpSum)
	if err := syscall.Sendto(f.l.socket, f.frame, 0, f.to); err != nil && err != syscall.ENOBUFS {
		f.l.t.Fatal(err)
	}
}

// set changes two octets of the frame and the checksums that cover them, as
// RFC 1624 says.
func (f *flood) set(at int, v uint16, sums ...int) {
	old := binary.BigEndian.Uint16(f.frame[at:])
	binary.BigEndian.PutUint16(f.frame[at:], v)
	for _, s := range sums {
		sum := uint32(^binary.BigEndian.Uint16(f.frame[s:])) + uint32(^old) + uint32(v)
		sum = sum&0xffff + sum>>16
		binary.BigEndian.PutUint16(f.frame[s:], ^uint16(sum&0xffff+sum>>16))
	}
}
