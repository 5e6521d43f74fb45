package spa

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
)

// FuzzPacket: no payload panics, and none opens a door that the fuzzer has no
// keys of.
func FuzzPacket(f *testing.F) {
	for _, v := range readLines[vector](f, "positive.jsonl") {
		f.Add(octets(v.Packet))
	}
	f.Add([]byte("GET /" + strings.Repeat("9", 200) + " HTTP/1.0\r\nUser-Agent: Fwknop/2.6.10\r\nX-Forwarded-For: 10.0.0.1\r\n"))
	mine := NewClient("mine", SHA256)
	bare := Client{Name: "bare", Key: bytes.Repeat([]byte{7}, 32)}
	f.Fuzz(func(t *testing.T, payload []byte) {
		door := wideDoor(mine, bare)
		door.Listen, door.TCP, door.HTTP, door.Proxies = ListenOn(1, 65535), true, true, prefixes("192.0.2.0/24")
		verifier := NewVerifier([]*Door{door}, memory{})
		p := packet(payload, "192.0.2.1")
		for _, p.Flags = range []knock.Flags{0, knock.SYN, knock.ACK} {
			if p.Flags != 0 {
				p.Proto = knock.TCP
			}
			if d := verifier.Decide(p, time.Unix(1795330823, 0)); d.Outcome > Unknown {
				t.Errorf("%s", outcome(d))
			}
		}
	})
}

// FuzzMessage: what can be read holds what a message may hold, and can be
// written and read again.
func FuzzMessage(f *testing.F) {
	for _, v := range readLines[vector](f, "positive.jsonl") {
		f.Add(v.Plaintext.Encoded)
	}
	for _, v := range readLines[vector](f, "crafted.jsonl") {
		f.Add(deref(v.BeforeDigest))
	}
	f.Fuzz(func(t *testing.T, body string) {
		m, err := parseMessage([]byte(body))
		if err != nil {
			if len(err.Error()) > 100 {
				t.Errorf("a long error: %v", err)
			}
			return
		}
		if !m.Address.IsValid() || m.Address.Is4In6() || m.Address.Zone() != "" || m.User == "" || m.Time.Unix() < 0 || m.Timeout > maxTimeout*time.Second {
			t.Fatalf("%+v", m)
		}
		if m.Type == Command {
			return
		}
		for _, p := range m.Ports {
			if p.Port == 0 {
				t.Fatalf("%+v", m)
			}
		}
		again, err := m.body("1234567890123456")
		if err != nil && !strings.HasPrefix(err.Error(), "message: must be 1 to 256") {
			t.Fatalf("%+v: %v", m, err)
		}
		if err == nil {
			if n, err := parseMessage(again); err != nil || content(n) != content(m) || n.User != m.User || n.NAT != m.NAT || n.Timeout != m.Timeout {
				t.Fatalf("%+v, again %+v, %v", m, n, err)
			}
		}
	})
}

// FuzzKeys: never clients together with an error, never keys beyond the limits,
// and what was read can be written and read again.
func FuzzKeys(f *testing.F) {
	f.Add("KEY_BASE64: "+key32+"\nHMAC_KEY_BASE64: "+hmac64+"\n", uint8(SHA256))
	f.Add("[a]\nKEY b\n# c\n[d]\nKEY e\nENCRYPTION_MODE legacy\n", uint8(0))
	f.Add("KEY a;b\nHMAC_KEY:c\nHMAC_DIGEST_TYPE sha3_512", uint8(1))
	f.Fuzz(func(t *testing.T, src string, hmac uint8) {
		clients, err := ParseKeys("keys", []byte(src), Hash(hmac%8))
		if (err == nil) == (len(clients) == 0) {
			t.Fatalf("%d clients and %v", len(clients), err)
		}
		for _, c := range clients {
			if len(c.Key) == 0 || len(c.Key) > MaxKey || len(c.HMACKey) > MaxHMACKey || (c.HMAC == 0) != (len(c.HMACKey) == 0) || !clientName.MatchString(c.Name) {
				t.Fatalf("%v: %d, %d, %v", c, len(c.Key), len(c.HMACKey), c.HMAC)
			}
			again, err := ParseKeys("keys", []byte(c.KeyLines()+"ENCRYPTION_MODE "+c.Mode.String()), 0)
			if err != nil || !sameKeys(&again[0], &c) {
				t.Fatalf("%v: %v", c, err)
			}
		}
	})
}
