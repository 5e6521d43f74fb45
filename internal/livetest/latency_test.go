package livetest

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/nettest"
)

// BenchmarkSPALatency is the time from the sending of a packet to the element
// in the kernel's set, with the disk between, as the median and the longest of
// all: the door is open then. What is sent is sealed before.
func BenchmarkSPALatency(b *testing.B) {
	client, server := openSite(b)
	startKeyed(b, server, "[options]\n\tLogFile = LOG\n[ssh]\n\tspa_key_file = DIR/ssh.keys\n\topen = tcp/22\n\tcmd_timeout = 300\n", spaKeys)
	send := datagrams(b, client)
	n := 0
	latency(b, server, func() []byte {
		n++
		return message(b, laptop, fmt.Sprintf("10.%d.%d.%d", 100+n/62500, n/250%250, 1+n%250))
	}, func(packet []byte) error {
		send(spaPort, packet)
		return nil
	})
}

// BenchmarkNativeLatency is the time from the sending of a knock's last packet
// to the element in the kernel's set.
func BenchmarkNativeLatency(b *testing.B) {
	client, server := openSite(b)
	start(b, server, "[options]\n\tLogFile = LOG\n\tLogRate = 1000000\n[ssh]\n\tsequence = 7000:udp\n\topen = tcp/22\n\tcmd_timeout = 300\n")
	// Every knock is somebody else's.
	client.Run("ip", "route", "add", "local", "10.100.0.0/16", "dev", "lo")
	server.Run("ip", "route", "add", "10.100.0.0/16", "dev", "eth0")
	var conn net.Conn
	n := 0
	latency(b, server, func() []byte {
		if conn != nil {
			conn.Close()
		}
		n++
		dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(10, 100, byte(n>>8), byte(n))}}
		if err := client.Do(func() (err error) {
			conn, err = dialer.Dial("udp4", nettest.Server4+":7000")
			return err
		}); err != nil {
			b.Fatal(err)
		}
		return []byte("knock")
	}, func(packet []byte) error {
		_, err := conn.Write(packet)
		return err
	})
}

// latency reports the median and the longest of the times from the sending of
// a packet to an element in a set of the server. What is sent is made before.
func latency(b *testing.B, server *nettest.Host, prepare func() []byte, send func([]byte) error) {
	elements := listenForElements(b, server)
	var times []time.Duration
	for b.Loop() {
		packet := prepare()
		// One knock, not a flood of them; and not asleep meanwhile, since a virtual
		// machine's idle processors take longer to wake than all of the rest.
		for pause := time.Now(); time.Since(pause) < 2500*time.Microsecond; {
			elements.came()
		}
		sent := time.Now()
		if err := send(packet); err != nil {
			b.Fatal(err)
		}
		for !elements.came() {
			if time.Since(sent) > nettest.Patience {
				b.Fatal("no element")
			}
		}
		times = append(times, time.Since(sent))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "median-ms")
	b.ReportMetric(float64(times[len(times)*9/10].Microseconds())/1000, "p90-ms")
	b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "longest-ms")
}

// elementMonitor is a socket that hears of elements put into the host's sets. It is
// asked over and over, so that no time goes by in waking somebody.
type elementMonitor struct {
	fd  int
	buf [1 << 16]byte
}

func listenForElements(t testing.TB, h *nettest.Host) *elementMonitor {
	t.Helper()
	e := &elementMonitor{fd: -1}
	err := h.Do(func() (err error) {
		if e.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER); err != nil {
			return err
		}
		return unix.Bind(e.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(e.fd) })
	return e
}

// came reports whether an element has been put into a set since the last call.
func (e *elementMonitor) came() bool {
	const newElement = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM
	found := false
	for {
		n, _, err := unix.Recvfrom(e.fd, e.buf[:], 0)
		if err != nil {
			return found
		}
		for msg := e.buf[:n]; len(msg) >= unix.NLMSG_HDRLEN; {
			size := (int(binary.NativeEndian.Uint32(msg)) + 3) &^ 3
			found = found || binary.NativeEndian.Uint16(msg[4:]) == newElement
			msg = msg[min(max(size, unix.NLMSG_HDRLEN), len(msg)):]
		}
	}
}
