package spa

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
)

// TestSealVectors makes the stock client's packets anew from their random value
// and salt, octet for octet.
func TestSealVectors(t *testing.T) {
	type extra struct {
		vector
		Derived struct {
			Salt string `json:"salt_hex"`
		}
	}
	for _, v := range readLines[extra](t, "positive.jsonl") {
		c, err := v.client(t)
		if err != nil || v.Plaintext.Type == Command {
			continue
		}
		salt, err := hex.DecodeString(v.Derived.Salt)
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := Open(octets(v.Packet), c)
		if err != nil {
			t.Fatal(err)
		}
		body, err := m.body(v.Plaintext.Encoded[:16])
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if strings.Contains(v.Name, "leading-zero") {
			body = []byte(v.Plaintext.Encoded) // we write none
		}
		digest, _ := ParseHash(v.Plaintext.DigestType)
		if got, err := seal(body, c, digest, salt); err != nil || string(got) != v.Packet {
			t.Errorf("%s: %s, %v\nwant %s", v.Name, got, err, v.Packet)
		}
	}
}

func TestSealRoundTrip(t *testing.T) {
	nat := access("10.1.2.3", "tcp/2222")
	nat.Type, nat.Timeout, nat.NAT = NATAccessTimed, time.Minute, NATTarget{Host: "10.5.5.5", Addr: netip.MustParseAddr("10.5.5.5"), Port: 22}
	v6 := access("2001:db8::1", "tcp/22")
	for _, m := range []Message{access("10.1.2.3", "tcp/22,udp/53"), nat, v6} {
		for hmac := Hash(0); hmac <= SHA3_512; hmac++ {
			for digest := MD5; digest <= SHA3_512; digest++ {
				c := NewClient("laptop", hmac)
				p, err := Seal(m, c, digest)
				if err != nil {
					t.Fatal(err)
				}
				got, _, err := Open(p, c)
				if err != nil || got.User != m.User || !got.Time.Equal(m.Time) || content(got) != content(m) || got.NAT != m.NAT || got.Timeout != m.Timeout {
					t.Errorf("HMAC %v, digest %v: %+v, %v", hmac, digest, got, err)
				}
				if _, _, err := Open(p, NewClient("other", hmac)); err == nil {
					t.Errorf("HMAC %v: opened with other keys", hmac)
				}
			}
		}
	}
}

func TestSealFaults(t *testing.T) {
	change := func(f func(m *Message)) Message {
		m := access("10.1.2.3", "tcp/22")
		f(&m)
		return m
	}
	for want, m := range map[string]Message{
		"command messages are not supported":                         change(func(m *Message) { m.Type = Command }),
		"user name: must be 1 to 64 characters":                      change(func(m *Message) { m.User = "" }),
		"user name: has a character that is not allowed":             change(func(m *Message) { m.User = "a/b" }),
		"timestamp: must be 1 to 12 digits":                          change(func(m *Message) { m.Time = time.Unix(-1, 0) }),
		"timeout: must be 0 to 65536":                                change(func(m *Message) { m.Type, m.Timeout = AccessTimed, 65537*time.Second }),
		"message: must be an address, a comma and what is asked for": change(func(m *Message) { m.Ports = nil }),
		"message: must be 1 to 256 characters": change(func(m *Message) {
			for i := range 30 {
				m.Ports = append(m.Ports, knock.Step{Proto: m.Ports[0].Proto, Port: uint16(30000 + i)})
			}
		}),
		"NAT target: must be a host, a comma and a port": change(func(m *Message) {
			m.Type, m.NAT = NATAccess, NATTarget{Host: strings.Repeat("h", 70), Port: 1}
		}),
	} {
		if _, err := Seal(m, testClient("a"), 0); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestOpenFaults(t *testing.T) {
	c := testClient("a")
	good := rawBody("10.1.2.3,tcp/22")
	for _, x := range []struct{ name, body, want string }{
		{"good", good, ""},
		{"server_auth", good + ":YWI", ""},
		{"server_auth too long", good + ":" + strings.Repeat("A", 257), "server_auth: must be base64 of at most 256 characters"},
		{"server_auth no base64", good + ":a=", "server_auth: must be base64 of at most 256 characters"},
		{"user name of 49 octets", strings.Replace(good, "dGVzdGVy", strings.Repeat("dXV1", 16)+"dQ", 1), "user name: must be 1 to 64 characters"},
		{"spare bits in a field", strings.Replace(good, "dGVzdGVy", "dGVzdB", 1), "user name: not strict base64"},
		{"time of 13 digits", strings.Replace(good, "1795330800", "0001795330800", 1), "timestamp: must be 1 to 12 digits"},
		{"signed time", strings.Replace(good, "1795330800", "+795330800", 1), "timestamp: must be 1 to 12 digits"},
		{"port with sign", rawBody("10.1.2.3,tcp/+22"), "message: port: must be between 1 and 65535"},
		{"port of 6 digits", rawBody("10.1.2.3,tcp/000022"), "message: port: must be between 1 and 65535"},
		{"protocol alone", rawBody("10.1.2.3,tcp"), "message: port: must be between 1 and 65535"},
		{"sctp", rawBody("10.1.2.3,sctp/22"), "message: port: must be written tcp/N or udp/N"},
	} {
		_, _, err := Open(sealText(t, c, x.body), c)
		if got := textOf(err); got != x.want {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
	if _, _, err := Open([]byte("9"), c); !errors.Is(err, ErrNotOurs) {
		t.Errorf("junk: %v", err)
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestStrictPadding: another padding than the one of PKCS#7 is refused, even
// where there is no HMAC to see it.
func TestStrictPadding(t *testing.T) {
	for text, want := range map[string]error{
		"x" + strings.Repeat("\x0f", 15):             nil,
		strings.Repeat("\x10", 16):                   nil,
		"x" + strings.Repeat("\x0e", 15):             nil,
		strings.Repeat("x", 15) + "\x00":             errPadding,
		strings.Repeat("x", 15) + "\x11":             errPadding,
		strings.Repeat("x", 13) + "\x01\x03\x03":     errPadding,
		strings.Repeat("x", 12) + "\x04\x04\x04\x05": errPadding,
	} {
		if _, err := unpad([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}
