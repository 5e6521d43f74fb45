package spa

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"knockd/internal/knock"
)

func TestProfileMessage(t *testing.T) {
	base := Profile{Server: "10.9.9.2", Access: []knock.Step{{Proto: 6, Port: 22}}, User: "me"}
	for _, c := range []struct {
		name   string
		change func(p *Profile)
		want   string
	}{
		{"plain", func(p *Profile) {}, "1 me 10.1.2.3,tcp/22  0s"},
		{"timed", func(p *Profile) { p.Timeout = time.Minute }, "3 me 10.1.2.3,tcp/22  1m0s"},
		{"NAT", func(p *Profile) { p.NATAccess = "10.5.5.5:80" }, "2 me 10.1.2.3,tcp/22 10.5.5.5,80 0s"},
		{"NAT, comma", func(p *Profile) { p.NATAccess = "10.5.5.5,80" }, "2 me 10.1.2.3,tcp/22 10.5.5.5,80 0s"},
		{"NAT, port from -A", func(p *Profile) { p.NATAccess, p.NATPort = "inner.example.com", 4422 }, "2 me 10.1.2.3,tcp/4422 inner.example.com,22 0s"},
		{"NAT timed", func(p *Profile) { p.NATAccess, p.Timeout = "10.5.5.5:80", time.Second }, "4 me 10.1.2.3,tcp/22 10.5.5.5,80 1s"},
		{"local NAT", func(p *Profile) { p.NATLocal, p.NATPort = true, 5522 }, "5 me 10.1.2.3,tcp/5522 10.9.9.2,22 0s"},
		{"local NAT with NAT", func(p *Profile) { p.NATLocal, p.NATAccess, p.Timeout = true, "192.168.10.9", time.Second }, "6 me 10.1.2.3,tcp/22 192.168.10.9,22 1s"},
		{"no user", func(p *Profile) { p.User = "" }, "1 NO_USER 10.1.2.3,tcp/22  0s"},
		{"nothing asked", func(p *Profile) { p.Access = nil }, "no port to ask for"},
		{"NAT of two", func(p *Profile) {
			p.NATLocal, p.Access = true, []knock.Step{{Proto: 6, Port: 22}, {Proto: 6, Port: 80}}
		}, "5 me 10.1.2.3,tcp/22,tcp/80 10.9.9.2,22 0s"},
		{"outer port of two", func(p *Profile) { p.NATPort, p.Access = 5, []knock.Step{{Proto: 6, Port: 22}, {Proto: 6, Port: 80}} }, "an outer port for NAT goes with one port"},
		{"outer port without NAT", func(p *Profile) { p.NATPort = 5 }, "1 me 10.1.2.3,tcp/5  0s"},
		{"NAT to port 0", func(p *Profile) { p.NATAccess = "10.5.5.5:0" }, "NAT target: port: must be between 1 and 65535"},
	} {
		p := base
		c.change(&p)
		m, err := p.Message(noon, netip.MustParseAddr("10.1.2.3"))
		got := fmt.Sprint(m.Type, " ", m.User, " ", content(m), " ", natText(m), " ", m.Timeout)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if err == nil {
			if _, err := Seal(m, testClient("a"), 0); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	p := base
	p.NATLocal, p.NATRandom, p.TimeOffset = true, true, -time.Hour
	m, err := p.Message(noon, netip.Addr{})
	if err != nil || m.Ports[0].Port < 10000 || m.Ports[0].Port > 65534 || m.NAT.Port != 22 || !m.Time.Equal(noon.Add(-time.Hour)) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestClientCheck(t *testing.T) {
	for want, c := range map[string]Client{
		"":                              testClient("a"),
		"no key for the encryption":     {HMAC: SHA1, HMACKey: []byte("h")},
		"no key for the HMAC":           {Key: []byte("k"), HMAC: SHA1},
		"legacy mode goes without HMAC": {Key: []byte("k"), HMAC: SHA1, HMACKey: []byte("h"), Mode: Legacy},
		"the keys for encryption and HMAC are equal":           {Key: []byte("k"), HMAC: SHA1, HMACKey: []byte("k")},
		"the encryption key has 33 octets: must be at most 32": {Key: make([]byte, 33)},
		"the HMAC key has 129 octets: must be at most 128":     {Key: []byte("k"), HMAC: SHA1, HMACKey: make([]byte, 129)},
	} {
		if got := textOf(c.Check()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
