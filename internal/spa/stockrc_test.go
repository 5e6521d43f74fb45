package spa_test

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/fwknop"
	"knockd/internal/nettest"
	"knockd/internal/spa"
)

// TestStockRC shows random .fwknoprc files to Debian's client and to ours: both
// ask for the same.
func TestStockRC(t *testing.T) {
	s, r := spa.NewStock(t), nettest.Rand(t)
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	for range 40 {
		rc := "# comment\n"
		for _, stanza := range []string{"default", "other", "mine", "default"} {
			if stanza == "default" && r.IntN(3) == 0 {
				continue
			}
			rc += "[" + stanza + "]\n"
			for name, value := range map[string]string{
				"SPA_SERVER": "192.0.2.1", "ALLOW_IP": pick("10.1.2.3", "198.51.100.7", "source"), "FW_TIMEOUT": pick("0", "5", "65536"), "ACCESS": strings.Split(spa.RandomPorts(r), ",")[0],
				"DIGEST_TYPE": pick("md5", "SHA512", "sha3_256"), "SPOOF_USER": pick("alice", "bob"), "TIME_OFFSET": pick("60", "-60", "-2h", "3days", "5min"),
				"KEY": spa.RandomText(r, 12), "KEY_BASE64": base64.StdEncoding.EncodeToString([]byte(spa.RandomText(r, 16))), "HMAC_DIGEST_TYPE": pick("sha256", "sha1"),
				"HMAC_KEY": spa.RandomText(r, 20), "HMAC_KEY_BASE64": base64.StdEncoding.EncodeToString([]byte(spa.RandomText(r, 20))), "NAT_ACCESS": pick("10.0.0.1:80", "10.0.0.2,81", "10.0.0.3"),
				"NAT_LOCAL": pick("Y", "N"), "NAT_PORT": "4422", "VERBOSE": "N", "USE_HMAC": pick("Y", "y", "N"), "SPA_SERVER_PORT": "4000", "RAND_PORT": pick("Y", "N", "yes"),
			} {
				if r.IntN(3) > 0 && (!strings.HasPrefix(name, "NAT") || r.IntN(3) == 0) {
					rc += pick("", " ", "\t") + name + pick(" ", ": ", "\t \t") + value + pick("", "", " # x", " ;", "\r") + "\n"
				}
			}
		}
		rc += "[mine]\nACCESS tcp/22\nALLOW_IP 10.1.2.3\nSPA_SERVER 192.0.2.1\nKEY k-" + spa.RandomText(r, 5) + "\nHMAC_KEY h-" + spa.RandomText(r, 5) + "\n"
		os.WriteFile(filepath.Join(s.Dir, ".fwknoprc"), []byte(rc), 0o600)
		payload, fields := s.Run("-n", "mine")
		parsed, err := fwknop.ParseRC("rc", []byte(rc))
		if err != nil {
			t.Fatalf("%v\n%s", err, rc)
		}
		p, err := parsed.Profile("mine")
		if err != nil {
			t.Fatalf("%v\n%s", err, rc)
		}
		theirs, _, err := spa.Open(payload, p.Client)
		if err != nil {
			t.Errorf("our keys: %v\n%s", err, rc)
			continue
		}
		if p.User == "" {
			p.User = "tester"
		}
		allow, _ := netip.ParseAddr(p.Allow)
		ours, err := p.Message(time.Now(), allow)
		if err != nil {
			t.Fatal(err)
		}
		apart := ours.Time.Sub(theirs.Time).Abs()
		if asked(ours) != asked(theirs) || ours.User != theirs.User || ours.Type != theirs.Type || ours.Timeout != theirs.Timeout || apart > 30*time.Second {
			t.Errorf("ours %+v\ntheirs %+v (%s)\n%s", ours, theirs, fields["Timestamp"], rc)
		}
	}
}

// asked is what a message asks for.
func asked(m spa.Message) string {
	return fmt.Sprint(m.Address, m.Ports, m.NAT.Host, m.NAT.Port)
}
