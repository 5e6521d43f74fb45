package spa

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// TestRCVectors asks for what the stock client asked for with the same file.
func TestRCVectors(t *testing.T) {
	type extra struct {
		vector
		RC   string `json:"fwknoprc"`
		Args []string
	}
	n := 0
	for _, v := range readLines[extra](t, "positive.jsonl") {
		if v.RC == "" {
			continue
		}
		n++
		rc, err := ParseRC(".fwknoprc", []byte(v.RC))
		if err != nil {
			t.Fatal(err)
		}
		p, err := rc.Profile(v.Args[1])
		if err != nil {
			t.Fatal(err)
		}
		if p.User == "" {
			p.User = "tester"
		}
		allow, _ := netip.ParseAddr(p.Allow)
		m, err := p.Message(time.Unix(v.Plaintext.Timestamp, 0), allow)
		if err != nil {
			t.Fatal(err)
		}
		body, err := m.body(v.Plaintext.Encoded[:16])
		if string(body) != v.Plaintext.Encoded || err != nil {
			t.Errorf("%s: %s, %v\nwant %s", v.Name, body, err, v.Plaintext.Encoded)
		}
		if c, _ := v.client(t); !sameKeys(&c, &p.Client) || p.Server != "127.0.0.1" || p.Digest.String() != map[Hash]string{0: "none", SHA512: "sha512"}[p.Digest] {
			t.Errorf("%s: other keys or server: %v", v.Name, p)
		}
	}
	if n < 2 {
		t.Errorf("%d vectors", n)
	}
}

func TestRC(t *testing.T) {
	const keys = "KEY k1\nHMAC_KEY h1\n"
	show := func(p Profile) string {
		return fmt.Sprintf("%s %d %v %s %d %v %s %v %v %v %s %s %v %d %v key=%s hmac=%s %v %v %s %s %v", p.Server, p.Port, p.RandomPort, p.Proto, p.SourcePort,
			p.Access, p.Allow, p.Timeout, p.TimeOffset, p.Digest, p.User, p.NATAccess, p.NATLocal, p.NATPort, p.NATRandom,
			p.Client.Key, p.Client.HMACKey, p.Client.HMAC, p.Client.Mode, p.KeyFile, p.HMACKeyFile, p.Ignored)
	}
	for _, c := range []struct{ name, stanza, src, want string }{
		{"everything", "x", `[x]
SPA_SERVER: door.example.net
SPA_SERVER_PORT 1000
SPA_SERVER_PROTO TCPRAW
SPA_SOURCE_PORT 53
RAND_PORT y
ACCESS tcp/22,udp/53
ALLOW_IP Source
FW_TIMEOUT 65536
TIME_OFFSET -5min
DIGEST_TYPE SHA1
ENCRYPTION_MODE legacy
KEY_BASE64 YWJj
HMAC_KEY_BASE64 ZGVm
HMAC_DIGEST_TYPE md5
USE_HMAC Y
KEY_FILE /k
HMAC_KEY_FILE /h
SPOOF_USER me
NAT_ACCESS 10.0.0.1:22
NAT_LOCAL Y
NAT_PORT 5
NAT_RAND_PORT Y
USE_GPG N
VERBOSE 1
`, "door.example.net 1000 true tcpraw 53 [tcp/22 udp/53] source 18h12m16s -5m0s sha1 me 10.0.0.1:22 true 5 true key=abc hmac=def md5 legacy /k /h [rc:25: VERBOSE]"},
		{"default and stanza", "x", "[x]\nACCESS tcp/22\n[default]\nFW_TIMEOUT 7\nACCESS tcp/1\n" + keys + "[y]\nFOO bar\n",
			" 0 false  0 [tcp/22]  7s 0s none   false 0 false key=k1 hmac=h1 sha256 CBC   []"},
		{"default alone", "", "[default]\n" + keys + "[x]\nFOO bar", " 0 false  0 []  0s 0s none   false 0 false key=k1 hmac=h1 sha256 CBC   []"},
		{"empty file", "", "", " 0 false  0 []  0s 0s none   false 0 false key= hmac= none CBC   []"},
		{"raw wins", "x", "[default]\nKEY raw\nHMAC_KEY rawh\n[x]\nKEY_BASE64 YWJj\nHMAC_KEY_BASE64 ZGVm", " 0 false  0 []  0s 0s none   false 0 false key=raw hmac=rawh sha256 CBC   []"},
		{"values end", "x", "FOO\n[x]\n  KEY a;b\nHMAC_KEY\tc#d e\n; x\n# y\nALLOW_IP 1.2.3.4 # z\n", " 0 false  0 [] 1.2.3.4 0s 0s none   false 0 false key=a hmac=c sha256 CBC   []"},

		{"Y cannot be taken back", "X", "[Default]\nNAT_LOCAL Y\nTIME_OFFSET -5\n[x]\nNAT_LOCAL N\nTIME_OFFSET 9", " 0 false  0 []  0s -5s none   true 0 false key= hmac= none CBC   []"},
		{"no stanza", "z", "[x]\nKEY a", "rc: has no stanza [z]"},
		{"no value", "x", "[x]\nKEY\n\n[\nACCESS ;", "rc:2: not NAME VALUE, [stanza] or a comment\nrc:4: not a [stanza]\nrc:5: not NAME VALUE, [stanza] or a comment"},
		{"unknown", "x", "[x]\nCLIENT_TIMEOUT 5\n", "rc:2: unknown variable"},
		{"GPG", "x", "[x]\nUSE_GPG Y\n", "rc:2: USE_GPG: GPG is not supported"},
		{"all faults", "x", `[default]
SPA_SERVER_PORT 0
SPA_SERVER_PROTO sctp
ACCESS tcp/22,
ALLOW_IP example.com
[x]
FW_TIMEOUT 65537
TIME_OFFSET 5y
DIGEST_TYPE sha2
ENCRYPTION_MODE ctr
KEY 123456789012345678901234567890123
HMAC_KEY_BASE64 a!
KEY_BASE64 =
`, `rc:2: SPA_SERVER_PORT: port: must be between 1 and 65535
rc:3: SPA_SERVER_PROTO: must be udp, tcp, http, udpraw, tcpraw or icmp
rc:4: ACCESS: port: must be written tcp/N or udp/N
rc:5: ALLOW_IP: must be an address, source or resolve
rc:7: FW_TIMEOUT: must be a number of seconds from 0 to 65536
rc:8: TIME_OFFSET: must be a number, - before it for the past, with s, min, h or d behind it if not seconds
rc:9: DIGEST_TYPE: must be one of ` + HashNames + `
rc:10: ENCRYPTION_MODE: must be CBC or legacy; fwknop's other modes are not supported
rc:11: KEY: 33 octets long: must be at most 32
rc:12: HMAC_KEY_BASE64: not base64
rc:13: KEY_BASE64: empty`},
	} {
		var got string
		rc, err := ParseRC("rc", []byte(c.src))
		if err == nil {
			var p Profile
			p, err = rc.Profile(c.stanza)
			got = show(p)
		}
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestProfileMessage(t *testing.T) {
	base := Profile{Server: "10.9.9.2", Access: []Port{{6, 22}}, User: "me"}
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
		{"NAT of two", func(p *Profile) { p.NATLocal, p.Access = true, []Port{{6, 22}, {6, 80}} }, "5 me 10.1.2.3,tcp/22,tcp/80 10.9.9.2,22 0s"},
		{"outer port of two", func(p *Profile) { p.NATPort, p.Access = 5, []Port{{6, 22}, {6, 80}} }, "an outer port for NAT goes with one port"},
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
	if err != nil || m.Ports[0].Number < 10000 || m.Ports[0].Number > 65534 || m.NAT.Port != 22 || !m.Time.Equal(noon.Add(-time.Hour)) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestKeyFromFile(t *testing.T) {
	src := "# h: x\nother: y\n h : a key \nh: second\n"
	if key, err := KeyFromFile([]byte(src), "h"); string(key) != "a key" || err != nil {
		t.Errorf("%s, %v", key, err)
	}
	if _, err := KeyFromFile([]byte(src), "z"); textOf(err) != "has no line for z" {
		t.Error(err)
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

// FuzzRC: no text panics, errors are one line a fault, and what a profile asks
// for can be sealed or is refused in words.
func FuzzRC(f *testing.F) {
	f.Add("[default]\nKEY k1\nHMAC_KEY h1\n[x]\nACCESS tcp/22\nALLOW_IP source\nNAT_LOCAL Y\nSPA_SERVER a", "x")
	f.Add("[x]\nTIME_OFFSET -5min\nFW_TIMEOUT 9\nUSE_GPG Y\nFOO bar", "x")
	f.Fuzz(func(t *testing.T, src, name string) {
		rc, err := ParseRC("rc", []byte(src))
		if err != nil {
			return
		}
		for _, n := range append(rc.Stanzas(), name) {
			p, err := rc.Profile(n)
			if err != nil {
				if p.Client.Key != nil {
					t.Error("a profile beside an error")
				}
				continue
			}
			if len(p.Client.Key) > MaxKey || len(p.Client.HMACKey) > MaxHMACKey || p.Timeout > maxTimeout*time.Second {
				t.Fatalf("%+v", p)
			}
			m, err := p.Message(noon, netip.Addr{})
			if err == nil && p.Client.Check() == nil {
				if b, err := Seal(m, p.Client, p.Digest); err == nil && !plausible(b) {
					t.Fatalf("%s", b)
				}
			}
		}
	})
}
