package fwknop

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/spa"
)

// TestRCVectors asks for what the stock client asked for with the same file: its
// packet, read with the keys of the file, says the same.
func TestRCVectors(t *testing.T) {
	f, err := os.Open("../spa/testdata/vectors/positive.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := json.NewDecoder(f); ; {
		var v struct {
			Name, Packet string
			RC           string `json:"fwknoprc"`
			Args         []string
			Plaintext    struct{ Timestamp int64 }
		}
		if err := lines.Decode(&v); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
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
		want, _, err := spa.Open([]byte(v.Packet), p.Client)
		if err != nil {
			t.Errorf("%s: other keys: %v", v.Name, err)
		}
		allow, _ := netip.ParseAddr(p.Allow)
		got, err := p.Message(time.Unix(v.Plaintext.Timestamp, 0), allow)
		if !allow.IsValid() {
			got.Address = netip.IPv4Unspecified() // as the packet says it
		}
		if got.Time = got.Time.UTC(); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v\nwant %+v", v.Name, got, err, want)
		}
		if digest := map[spa.Hash]string{0: "none", spa.SHA512: "sha512"}[p.Digest]; p.Server != "127.0.0.1" || p.Digest.String() != digest {
			t.Errorf("%s: another server or digest: %v", v.Name, p)
		}
	}
	if n < 2 {
		t.Errorf("%d vectors", n)
	}
}

func TestRC(t *testing.T) {
	const keys = "KEY k1\nHMAC_KEY h1\n"
	show := func(p spa.Profile) string {
		return fmt.Sprintf("%s %d %v %s %d %v %s %v %v %v %s %s %v %d %v key=%s hmac=%s %v %v %s %s %v", p.Server, p.Port, p.RandomPort, p.Proto, p.SourcePort,
			knock.PortsOf(p.Access), p.Allow, p.Timeout, p.TimeOffset, p.Digest, p.User, p.NATAccess, p.NATLocal, p.NATPort, p.NATRandom,
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
rc:9: DIGEST_TYPE: must be one of ` + spa.HashNames + `
rc:10: ENCRYPTION_MODE: must be CBC or legacy; fwknop's other modes are not supported
rc:11: KEY: 33 octets long: must be at most 32
rc:12: HMAC_KEY_BASE64: not base64
rc:13: KEY_BASE64: empty`},
	} {
		var got string
		rc, err := ParseRC("rc", []byte(c.src))
		if err == nil {
			var p spa.Profile
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

func TestKeyFromFile(t *testing.T) {
	src := "# h: x\nother: y\n h : a key \nh: second\n"
	if key, err := KeyFromFile([]byte(src), "h"); string(key) != "a key" || err != nil {
		t.Errorf("%s, %v", key, err)
	}
	if _, err := KeyFromFile([]byte(src), "z"); err == nil || err.Error() != "has no line for z" {
		t.Error(err)
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
			if len(p.Client.Key) > spa.MaxKey || len(p.Client.HMACKey) > spa.MaxHMACKey || p.Timeout > 65536*time.Second {
				t.Fatalf("%+v", p)
			}
			m, err := p.Message(time.Unix(1795330800, 0), netip.Addr{})
			if err == nil && p.Client.Check() == nil {
				if b, err := spa.Seal(m, p.Client, p.Digest); err == nil {
					if _, _, err := spa.Open(b, p.Client); err != nil {
						t.Fatalf("%s: %v", b, err)
					}
				}
			}
		}
	})
}
