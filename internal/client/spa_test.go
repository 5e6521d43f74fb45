package client

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"knockd/internal/spa"
)

func spaClient() *SPA {
	p := spa.Profile{Client: spa.NewClient("x", spa.SHA256)}
	p.Access, _ = spa.ParsePorts("tcp/22")
	return &SPA{Profile: p}
}

// TestSPAAllow: for which address the packet asks.
func TestSPAAllow(t *testing.T) {
	for _, c := range []struct{ allow, want string }{
		{"source", "0.0.0.0"},
		{"192.0.2.7", "192.0.2.7"},
		{"::ffff:192.0.2.7", "192.0.2.7"},
		{"", "127.0.0.1"},
		{"resolve", "ask http://192.0.2.1/ for the outside address: must be an https:// URL"},
		{"2001:db8::1", "servers of fwknop know IPv4 alone"},
	} {
		s := spaClient()
		s.Allow, s.AddressService.URL = c.allow, "http://192.0.2.1/"
		packet, err := s.packet(context.Background(), netip.MustParseAddr("127.0.0.1"), time.Unix(1795330800, 0))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			m, _, err := spa.Open(packet, s.Client)
			if err != nil {
				t.Fatal(err)
			}
			got = m.Address.String()
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.allow, got, c.want)
		}
	}
}

func TestInside(t *testing.T) {
	for addr, want := range map[string]bool{
		"10.0.0.1": true, "172.31.0.1": true, "192.168.1.1": true, "100.64.0.1": true, "127.0.0.1": true, "169.254.0.1": true, "fd00::1": true, "fe80::1": true,
		"192.0.2.1": false, "100.128.0.1": false, "2001:db8::1": false, "172.32.0.1": false,
	} {
		if inside(netip.MustParseAddr(addr)) != want {
			t.Errorf("%s: %v", addr, !want)
		}
	}
}

func TestHTTPRequest(t *testing.T) {
	to := netip.MustParseAddrPort("192.0.2.1:80")
	for host, want := range map[string]string{"door.example.net": "door.example.net", "": "192.0.2.1", "a\r\nb": "192.0.2.1"} {
		got := string(httpRequest(to, host, []byte("9a+b/c")))
		if !strings.HasPrefix(got, "GET /9a-b_c HTTP/1.0\r\nUser-Agent: Fwknop") || !strings.Contains(got, "\r\nHost: "+want+"\r\n") || !strings.HasSuffix(got, "\r\n\r\n") {
			t.Errorf("%q: %q", host, got)
		}
	}
}

// TestSPAImpossible: what is asked for in vain is said before a socket is
// opened; here each would fail, for the context has ended.
func TestSPAImpossible(t *testing.T) {
	ended, end := context.WithCancel(context.Background())
	end()
	for _, c := range []struct{ proto, access, host, want string }{
		{"icmp", "tcp/1", "::1", "knock at ::1: transport icmp over IPv6 is not supported"},
		{"sctp", "tcp/1", "192.0.2.1", "knock at 192.0.2.1: transport sctp is not supported"},
		{"udp", "tcp/1,tcp/2", "192.0.2.1", "an outer port for NAT goes with one port"},
		{"udp", "", "192.0.2.1", "no port to ask for"},
	} {
		s := spaClient()
		s.Proto, s.IPv6, s.NATPort = c.proto, true, 5
		s.Access, _ = spa.ParsePorts(c.access)
		err := s.Ask(ended, []netip.Addr{netip.MustParseAddr(c.host)}, 0)
		if err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestSPAFresh: each packet is a new one, and a random port another one.
func TestSPAFresh(t *testing.T) {
	s := spaClient()
	s.RandomPort = true
	packets, ports := map[string]bool{}, map[uint16]bool{}
	host := netip.MustParseAddr("127.0.0.1")
	for range 50 {
		p, err := s.packet(context.Background(), host, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		packets[string(p)] = true
		ports[s.Target(host).Port()] = true
	}
	if len(packets) != 50 || len(ports) < 40 {
		t.Errorf("%d packets, %d ports", len(packets), len(ports))
	}
}
