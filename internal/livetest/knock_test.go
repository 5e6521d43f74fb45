package livetest

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"knockd/internal/conformance"
	"knockd/internal/nettest"
)

// hping sends one segment per step, "PORT" or "PORT:udp", with flags as
// hping3 spells them ("-S", "-SA").
func hping(t testing.TB, h *nettest.Host, flags, to string, steps ...string) {
	t.Helper()
	nettest.NeedProgram(t, "hping3")
	for _, step := range steps {
		port, proto, _ := strings.Cut(step, ":")
		mode := flags
		if proto == "udp" {
			mode = "-2"
		}
		// It ends with status 1 because nobody answers.
		out, _ := h.Try("hping3", "-q", "-n", "-i", "u20000", "-c", "1", mode, "-p", port, to)
		if !strings.Contains(out, "1 packets transmitted") {
			t.Fatalf("hping3: %s", out)
		}
	}
}

// knock08 runs Debian's knock.
func knock08(t testing.TB, h *nettest.Host, args ...string) {
	t.Helper()
	nettest.NeedProgram(t, "knock")
	path, err := conformance.ReferenceProgram("knock")
	if err != nil {
		nettest.Missing(t, "needs knock 0.8: %v", err)
	}
	h.Run(path, append([]string{"-d", "30"}, args...)...)
}

// knock runs the project's knock.
func knock(t testing.TB, h *nettest.Host, args ...string) {
	t.Helper()
	h.Run(program(t, "knock"), append([]string{"-d", "30"}, args...)...)
}

// syn sends one SYN or one datagram per step, without help of any client:
// a connection given up before its SYN could be repeated.
func syn(t testing.TB, h *nettest.Host, from, to string, steps ...string) {
	t.Helper()
	source := netip.MustParseAddr(from)
	for _, step := range steps {
		port, proto, _ := strings.Cut(step, ":")
		address := net.JoinHostPort(to, port)
		err := h.Do(func() error {
			if proto == "udp" {
				conn, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)),
					net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
				if err != nil {
					return err
				}
				defer conn.Close()
				_, err = conn.Write([]byte("x"))
				return err
			}
			dialer := net.Dialer{Timeout: 30 * time.Millisecond,
				LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))}
			if conn, err := dialer.Dial("tcp", address); err == nil {
				conn.Close()
			}
			return nil
		})
		if err != nil {
			t.Fatalf("knock at %s: %v", address, err)
		}
	}
}
