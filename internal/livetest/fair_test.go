package livetest

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// forge sends n IPv4 packets with addresses of strangers from the client of a
// pair to its server, at most so many a second.
func forge(t *testing.T, client, server *nettest.Host, n, rate int, packet func(i int) []byte) {
	t.Helper()
	head := append(append(hardwareAddr(t, server), hardwareAddr(t, client)...), 8, 0)
	err := client.Do(func() error {
		ifc, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		to := &syscall.SockaddrLinklayer{Ifindex: ifc.Index, Halen: 6}
		begin := time.Now()
		for i := range n {
			if i%100 == 0 {
				time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))))
			}
			frame := append(head[:len(head):len(head)], packet(i)...)
			for err = syscall.ENOBUFS; err == syscall.ENOBUFS; {
				err = syscall.Sendto(fd, frame, 0, to)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("forge: %v", err)
	}
}

// knockSYN returns the i-th SYN of strangers who each hit all of the ports, one
// after the other.
func knockSYN(ports ...uint16) func(i int) []byte {
	return func(i int) []byte {
		return synPacket(strangers+uint32(i/len(ports)), ports[i%len(ports)], uint32(i))
	}
}

// TestGuestFillsTheTable: whoever knows two steps of the guest's door and forges
// addresses ends no attempt at another one, and the log says what happens. With
// KNOCKD_LONG=1 the table has its usual size.
func TestGuestFillsTheTable(t *testing.T) {
	t.Parallel()
	limit, sources := 2000, 4000
	if long {
		limit, sources = 262_144, 270_000
	}
	client, server := nettest.Pair(t)
	var want []string
	for i := range 8 {
		want = append(want, fmt.Sprintf("10.7.0.%d", 11+i))
		client.AddAddress("eth0", want[i]+"/24")
	}
	d := start(t, server, fmt.Sprintf(`[options]
	logfile = LOG
	MaxAttempts = %d
[guest]
	sequence = 7000,8000,9000
	seq_timeout = 600
	command = echo guest >> DIR/opened
[admin]
	sequence = 7100,8100,9100
	seq_timeout = 600
	command = echo %%IP%% >> DIR/opened
`, limit))
	forge(t, client, server, 2*sources, 20_000, knockSYN(7000, 8000))
	d.waitFor(fmt.Sprintf("MaxAttempts (%d) reached: attempts given up: ", limit), 1)
	flood := make(chan struct{})
	go func() { // and it goes on
		defer close(flood)
		forge(t, client, server, 10_000, 5_000, func(i int) []byte { return knockSYN(7000, 8000)(2*sources + i) })
	}()
	for _, from := range want {
		syn(t, client, from, nettest.Server4, "7100", "8100", "9100")
	}
	<-flood
	d.opensFor(want...)
	if n := strings.Count(d.text(), "attempts given up"); n > 5 {
		t.Errorf("%d lines about attempts given up", n)
	}
}
