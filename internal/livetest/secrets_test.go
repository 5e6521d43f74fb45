package livetest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"knockd/internal/spa"
)

// secrets are what no log, error or crash output of this package's tests may
// hold: keys, packets, random values, sequences, one-time lines. All that a
// daemon or another of our programs writes is searched for all that are known
// by then, of whichever test.
var secrets = newCollector()

// piece is how much of a long secret gives it away, dumped how much of one that
// is printed octet by octet (less stands in any crash output), and shortest what
// is long enough to be found for sure.
const (
	piece    = 12
	dumped   = 40
	shortest = 8
)

type collector struct {
	mu    sync.Mutex
	known map[string]string // short ones, or the pieces of long ones: what they are
	heads map[string]bool   // how they begin
}

func newCollector() *collector {
	return &collector{known: map[string]string{}, heads: map[string]bool{}}
}

// add has a secret known.
func (c *collector) add(what, secret string) { c.addPieces(what, secret, piece) }

func (c *collector) addPieces(what, secret string, piece int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(secret) < shortest {
		return
	}
	for i := 0; i == 0 || i+piece <= len(secret); i++ {
		c.known[secret[i:min(i+piece, len(secret))]] = what
		c.heads[secret[i:i+shortest]] = true
	}
}

// key has a key known as it stands in files and as it would stand in dumps.
func (c *collector) key(what string, key []byte) {
	for _, form := range []string{string(key), base64.StdEncoding.EncodeToString(key), hex.EncodeToString(key)} {
		c.add(what, strings.TrimRight(form, "="))
	}
	c.addPieces(what, strings.Trim(fmt.Sprint(key), "[]"), dumped)
	c.addPieces(what, strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", key), "[]byte{"), "}"), dumped)
}

// packet has a packet known, its text, and the random value in it.
func (c *collector) packet(packet []byte, client spa.Client) {
	c.add("packet", string(packet))
	if text := plaintext(packet, client); text != nil && bytes.HasPrefix(text[16:], []byte(":")) {
		c.add("random value", string(text[:16]))
		c.add("message", string(text[17:]))
	}
}

var (
	sequenceLine = regexp.MustCompile(`(?mi)^\s*sequence\s*=\s*(\S.*)$`)
	keyFileLine  = regexp.MustCompile(`(?m)^(?:HMAC_)?KEY(_BASE64)?[: \t]+(\S+)$`)
)

// config has the sequences of a configuration known.
func (c *collector) config(text string) {
	for _, m := range sequenceLine.FindAllStringSubmatch(text, -1) {
		c.sequence(m[1])
	}
}

func (c *collector) sequence(line string) {
	line = strings.TrimSpace(line)
	if strings.Contains(line, ",") {
		c.add("sequence", line)
		c.add("sequence", strings.ReplaceAll(line, ",", " "))
		c.add("sequence", strings.ReplaceAll(line, ",", ", "))
	}
}

// oneTime has the lines of a file of one-time sequences known.
func (c *collector) oneTime(text string) {
	for line := range strings.Lines(text) {
		c.sequence(strings.TrimPrefix(strings.TrimSpace(line), "#"))
	}
}

// keyFile has the keys of a key file known.
func (c *collector) keyFile(text string) {
	for _, m := range keyFileLine.FindAllStringSubmatch(text, -1) {
		key := []byte(m[2])
		if m[1] != "" {
			key, _ = base64.StdEncoding.DecodeString(m[2])
		}
		c.key("key", key)
	}
}

// find returns what of the secrets stands in a text.
func (c *collector) find(text string) (found []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := 0; i+shortest <= len(text); i++ {
		if !c.heads[text[i:i+shortest]] {
			continue
		}
		for n := shortest; n <= dumped && i+n <= len(text); n++ {
			if what, ok := c.known[text[i:i+n]]; ok && !slices.Contains(found, what) {
				found = append(found, fmt.Sprintf("%s in %q", what, around(text, i)))
			}
		}
		if len(found) > 3 {
			break
		}
	}
	return found
}

// around is the line at an offset, or what of it fits.
func around(text string, i int) string {
	line := text[strings.LastIndexByte(text[:i], '\n')+1:]
	line, _, _ = strings.Cut(line, "\n")
	return line[:min(len(line), 200)]
}

// check fails the test if an output holds a secret.
func (c *collector) check(t testing.TB, where, text string) {
	t.Helper()
	for _, f := range c.find(text) {
		t.Errorf("%s holds a %s", where, f)
	}
}

// TestSecretsAreFound: the search finds what it is to find, however it is
// written.
func TestSecretsAreFound(t *testing.T) {
	c := newCollector()
	client := spa.NewClient("x", spa.SHA256)
	c.keyFile(client.KeyLines())
	packet := message(t, client, "192.0.2.1")
	c.packet(packet, client)
	c.config("[options]\n\tlogfile = x\n[a]\n\tSequence = 7101,8102:udp\n")
	c.oneTime(" 1113:udp,2224\n#3335,4446\n")
	text := plaintext(packet, client)
	for _, leak := range []string{
		fmt.Sprintf("%x", client.Key), fmt.Sprintf("%v", client.HMACKey), fmt.Sprintf("%#v", client.Key),
		string(packet[20:40]), string(text[:16]), string(text[17:40]),
		"door a waits for 7101,8102:udp", "steps 7101, 8102:udp", "1113:udp,2224", "3335,4446",
	} {
		if c.find("a line\nand "+leak+" more") == nil {
			t.Errorf("not found: %q", leak)
		}
	}
	c.key("key", append([]byte{0x18, 0x80, 0, 0, 0}, client.Key...))
	for _, harmless := range []string{
		"10.7.0.1: ssh: Stage 1\nport 7101 of 8102\n", "runtime.futex(0xad5818, 0x80, 0x0, 0x0, 0x0, 0x0)\n",
	} {
		if found := c.find(harmless); found != nil {
			t.Error(found)
		}
	}
}
