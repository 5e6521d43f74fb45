package capture

import (
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// flood sends n first knocks, each from another address, as fast as it can.
func flood(h *nettest.Host, ifname string, dst net.HardwareAddr, n int) error {
	return h.Do(func() error {
		i, err := net.InterfaceByName(ifname)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		b := append(append(append([]byte{}, dst...), i.HardwareAddr...), 8, 0)
		b = append(b, "\x45\x00\x00\x28\x00\x00\x00\x00\x40\x06\x00\x00\x0b\x00\x00\x00\x0a\x07\x00\x02\x9c\x40\x1b\x58\x00\x00\x00\x00\x00\x00\x00\x00\x50\x02\x00\x00\x00\x00\x00\x00"...)
		to := &unix.SockaddrLinklayer{Ifindex: i.Index, Protocol: networkOrder(unix.ETH_P_IP)}
		for k := range n {
			binary.BigEndian.PutUint32(b[26:], 0x0b000000+uint32(k))
			if err := unix.Sendto(fd, b, 0, to); err != nil && err != unix.ENOBUFS {
				return err
			}
		}
		return nil
	})
}

func cpu() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFlood measures the CPU time that a packet takes, the kernel's
// share included: that of a flood with somebody listening, less that of one
// without.
func BenchmarkFlood(b *testing.B) {
	const n = 300000
	client, server := nettest.Pair(b)
	dst := server.Hardware("eth0")
	run := func() (time.Duration, time.Duration) {
		c, start := cpu(), time.Now()
		if err := flood(client, "eth0", dst, n); err != nil {
			b.Fatal(err)
		}
		return cpu() - c, time.Since(start)
	}
	run()
	for b.Loop() {
		without, _ := run()
		w := &FilterSpec{Matches: []Match{{Proto: knock.TCP, First: 7000, Last: 7000, Flags: knock.FlagMatch{Set: knock.SYN}}}}
		l := listen(b, server, "eth0", w)
		var got, batches atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				batch, err := l.Next()
				if err != nil {
					return
				}
				got.Add(int64(len(batch)))
				batches.Add(1)
			}
		}()
		with, took := run()
		for last := int64(-1); got.Load() != last; time.Sleep(50 * time.Millisecond) {
			last = got.Load()
		}
		drops, err := l.Drops()
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
		<-done
		// What is neither seen nor dropped was lost before the socket, where
		// the queue of the receiving side (net.core.netdev_max_backlog) ran over.
		b.ReportMetric(float64(n-got.Load()-int64(drops)), "lost-before")
		b.ReportMetric(float64((with-without).Nanoseconds())/float64(n), "cpu-ns/packet")
		b.ReportMetric(float64(n)/took.Seconds(), "packets/s")
		b.ReportMetric(float64(drops), "drops")
		b.ReportMetric(float64(got.Load())/float64(batches.Load()), "packets/batch")
	}
}
