package spa

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// stock is Debian's client, which in its test mode sends nothing and saves the
// packet.
type stock struct {
	*testing.T
	path, Dir string
}

// NewStock finds the client.
func NewStock(t *testing.T) stock {
	nettest.NeedProgram(t, "fwknop")
	return stock{t, "fwknop", t.TempDir()}
}

// Run returns the packet and what the client prints of it.
func (s stock) Run(args ...string) (packet []byte, fields map[string]string) {
	s.Helper()
	file := filepath.Join(s.Dir, "packet")
	cmd := exec.Command(s.path, append([]string{"--test", "-v", "--no-save-args", "-B", file}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+s.Dir, "LOGNAME=tester")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.Fatalf("%q: %v\n%s", args, err, out)
	}
	packet, err = os.ReadFile(file)
	if err != nil {
		s.Fatal(err)
	}
	os.Remove(file)
	fields = map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^ *([A-Za-z ]+): (.*)$`).FindAllStringSubmatch(string(out), -1) {
		if _, twice := fields[m[1]]; !twice {
			fields[m[1]] = m[2]
		}
	}
	return []byte(strings.TrimSpace(string(packet))), fields
}

// RandomText has nothing that a shell, a file or fwknop would take for more.
func RandomText(r *rand.Rand, length int) string {
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!$%&/()=?.,_-+*"
	b := make([]byte, length)
	for i := range b {
		b[i] = chars[r.IntN(len(chars))]
	}
	if b[0] == '-' {
		b[0] = 'x'
	}
	return string(b)
}

// RandomPorts returns one to four ports as -A takes them.
func RandomPorts(r *rand.Rand) string {
	var ports []string
	for range 1 + r.IntN(4) {
		ports = append(ports, []string{"tcp", "udp"}[r.IntN(2)]+fmt.Sprintf("/%d", 1+r.IntN(65535)))
	}
	return strings.Join(ports, ",")
}

// TestStockClient has Debian's client make packets with random keys, types and
// wishes: our verifier reads in each what the client says is in it, and opens.
func TestStockClient(t *testing.T) {
	s, r := NewStock(t), nettest.Rand(t)
	for range 60 {
		c := Client{Name: "tester", HMAC: Hash(r.IntN(8)), Key: []byte(RandomText(r, 1+r.IntN(MaxKey)))}
		digest := Hash(1 + r.IntN(7))
		addr := netip.AddrFrom4([4]byte{byte(1 + r.IntN(126)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
		args := []string{"--no-rc-file", "-A", RandomPorts(r), "-D", "192.0.2.1", "--digest-type", digest.String()}
		if r.IntN(2) == 0 {
			args = append(args, "--key-rijndael", string(c.Key))
		} else {
			for i := range c.Key {
				c.Key[i] = byte(r.IntN(256))
			}
			args = append(args, "--key-base64-rijndael", base64.StdEncoding.EncodeToString(c.Key))
		}
		if c.HMAC != 0 {
			c.HMACKey = []byte(RandomText(r, 1+r.IntN(MaxHMACKey)))
			args = append(args, "--key-base64-hmac", base64.StdEncoding.EncodeToString(c.HMACKey), "--hmac-digest-type", c.HMAC.String())
		} else if r.IntN(3) == 0 {
			c.Mode = Legacy
			args = append(args, "-M", "legacy")
		}
		if addr.As4()[3] < 64 {
			addr = netip.IPv4Unspecified()
			args = append(args, "-s")
		} else {
			args = append(args, "-a", addr.String())
		}
		wait := time.Duration(0)
		if r.IntN(2) == 0 {
			wait = time.Duration(1+r.IntN(600)) * time.Second
			args = append(args, "-f", fmt.Sprint(int(wait/time.Second)))
		}
		payload, fields := s.Run(args...)
		m, _, err := Open(payload, c)
		if err != nil {
			t.Errorf("%q: %v", args, err)
			continue
		}
		got := fmt.Sprint(m.User, " ", m.Time.Unix(), " ", content(m), " ", int(m.Timeout/time.Second))
		want := fmt.Sprint(fields["Username"], " ", fields["Timestamp"], " ", withoutDuplicates(fields["Message String"]), " ", fields["Client Timeout"])
		if got != want {
			t.Errorf("%q: %s, want %s", args, got, want)
		}
		d := NewVerifier([]*Door{wideDoor(c)}, memory{}).Decide(packet(payload, "198.51.100.9"), time.Now())
		if addr.IsUnspecified() {
			addr = netip.MustParseAddr("198.51.100.9")
		}
		if d.Outcome != Opened || d.Grant.Addr != addr || wait > 0 && d.Grant.Timeout != min(wait, defaultMaxTimeout) {
			t.Errorf("%q: %s", args, outcome(d))
		}
	}
}

// withoutDuplicates drops a port that is there before.
func withoutDuplicates(message string) string {
	var all []string
	for part := range strings.SplitSeq(message, ",") {
		if !strings.Contains(","+strings.Join(all, ",")+",", ","+part+",") {
			all = append(all, part)
		}
	}
	return strings.Join(all, ",")
}
