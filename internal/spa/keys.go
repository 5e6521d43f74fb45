package spa

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"syscall"

	"knockd/internal/statefile"
)

// Client is who may send packets to a door, or what we are to a server.
type Client struct {
	Name    string // of its section in the key file
	Key     []byte // for the encryption, 1 to MaxKey octets
	HMACKey []byte // 1 to MaxHMACKey octets; empty without HMAC
	HMAC    Hash   // zero without HMAC
	Mode    Mode

	passphrase bool
}

// String returns the client's name, so that no format verb prints a key.
func (c Client) String() string { return c.Name }

// GoString returns the client's name, so that no format verb prints a key.
func (c Client) GoString() string { return c.Name }

// The longest keys fwknop takes, in octets.
const (
	MaxKey     = 32
	MaxHMACKey = 128
)

// DefaultClient is the name of the client whose keys stand before any section.
const DefaultClient = "default"

// The bounds of a key file, in octets and clients: each client costs every
// packet an HMAC.
const (
	maxKeyFile = 1 << 20
	maxClients = 1000
)

// LoadKeys reads a door's key file. Its mode must be 0600 or 0400, and its owner
// root or who runs this. The Hash is
// the door's spa_hmac: what a client without HMAC_DIGEST_TYPE uses; zero (none)
// lets clients without HMAC_KEY be. All faults are returned at once, without
// any key in them.
func LoadKeys(path string, hmac Hash) ([]Client, error) {
	src, _, err := statefile.Source{Max: maxKeyFile, Check: keyFileRule}.Read(path)
	if refusal := (*statefile.RefusalError)(nil); errors.As(err, &refusal) {
		return nil, refusal
	}
	switch {
	case errors.Is(err, syscall.EISDIR):
		return nil, fmt.Errorf("%s: %w", path, statefile.ErrNotRegular)
	case err != nil:
		return nil, fmt.Errorf("read key file: %w", err)
	}
	return ParseKeys(path, src, hmac)
}

// keyFileRule says why a file must not be used for keys: others can read it, or
// its owner could put other keys there.
func keyFileRule(info fs.FileInfo) error {
	if perm := info.Mode().Perm(); perm&0o177 != 0 {
		return fmt.Errorf("mode %04o: must be 0600, since it holds keys", perm)
	}
	if who := (*statefile.WriterError)(nil); errors.As(statefile.Foreign(info), &who) {
		return fmt.Errorf("belongs to user %d: must belong to root, or to the user that knockd runs as", who.UID)
	}
	return nil
}

// ParseKeys reads a key file's text: NAME VALUE or NAME: VALUE, # comments,
// [client] sections. See LoadKeys.
func ParseKeys(name string, src []byte, hmac Hash) ([]Client, error) {
	if len(src) > maxKeyFile {
		return nil, fmt.Errorf("%s: longer than 1 MiB", name)
	}
	p := keyParser{file: name, hmac: hmac}
	for i, line := range strings.Split(string(src), "\n") {
		p.line(i+1, strings.Trim(line, " \t\r"))
	}
	p.close()
	if len(p.clients) == 0 && len(p.faults) == 0 {
		p.fault(1, "", "has no key")
	}
	p.checkDuplicates()
	if len(p.faults) > 0 {
		return nil, errors.Join(p.faults...)
	}
	clients := make([]Client, len(p.clients))
	for i, r := range p.clients {
		clients[i] = r.client
	}
	return clients, nil
}

// rawClient is a section of a key file as it is read.
type rawClient struct {
	client Client
	start  int
	values map[string]rawValue
}

type rawValue struct {
	text string
	line int
}

type keyParser struct {
	file    string
	hmac    Hash
	open    *rawClient // the section being read
	clients []*rawClient
	faults  []error
}

func (p *keyParser) fault(line int, name, format string, args ...any) {
	if name != "" {
		name += ": "
	}
	p.faults = append(p.faults, fmt.Errorf("%s:%d: %s%s", p.file, line, name, fmt.Sprintf(format, args...)))
}

var (
	keyNames   = map[string]bool{"KEY": true, "KEY_BASE64": true, "HMAC_KEY": true, "HMAC_KEY_BASE64": true, "HMAC_DIGEST_TYPE": true, "ENCRYPTION_MODE": true}
	keyLine    = regexp.MustCompile(`^([A-Za-z0-9_]+)(?::[ \t]*|[ \t]+)(.*)$`)
	clientName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)
)

func (p *keyParser) line(n int, s string) {
	if s == "" || s[0] == '#' {
		return
	}
	if s[0] == '[' {
		p.section(n, s)
		return
	}
	m := keyLine.FindStringSubmatch(s)
	if m == nil {
		p.fault(n, "", "not NAME VALUE, [client] or a # comment")
		return
	}
	if !keyNames[m[1]] {
		p.fault(n, "", "unknown name; known are KEY, KEY_BASE64, HMAC_KEY, HMAC_KEY_BASE64, HMAC_DIGEST_TYPE, ENCRYPTION_MODE")
		return
	}
	if p.open == nil {
		p.open = &rawClient{client: Client{Name: DefaultClient}, start: n, values: map[string]rawValue{}}
	}
	if old, ok := p.open.values[m[1]]; ok {
		p.fault(n, m[1], "given before, in line %d", old.line)
		return
	}
	p.open.values[m[1]] = rawValue{m[2], n}
}

func (p *keyParser) section(n int, s string) {
	p.close()
	if len(p.clients) == maxClients {
		p.fault(n, "", "more than %d clients", maxClients)
	}
	if len(p.clients) >= maxClients {
		return
	}
	name := strings.Trim(strings.TrimSuffix(s[1:], "]"), " \t")
	if !strings.HasSuffix(s, "]") || !clientName.MatchString(name) {
		p.fault(n, "", "section: must be [NAME], NAME of letters, digits and ._@-, 64 at most")
	}
	for _, c := range p.clients {
		if c.client.Name == name {
			p.fault(n, "", "section [%s] is there already, in line %d", name, c.start)
		}
	}
	p.open = &rawClient{client: Client{Name: name}, start: n, values: map[string]rawValue{}}
}

// close checks the section that ends.
func (p *keyParser) close() {
	r := p.open
	p.open = nil
	if r == nil {
		return
	}
	p.clients = append(p.clients, r)
	c := &r.client
	c.Key = p.key(r, "KEY", MaxKey)
	c.HMACKey = p.key(r, "HMAC_KEY", MaxHMACKey)
	_, c.passphrase = r.values["KEY"]
	p.digestType(r)
	p.mode(r)
	if !r.has("KEY") {
		p.fault(r.start, "", "client %s has no KEY or KEY_BASE64", c.Name)
	}
	if len(c.Key) > 0 && string(c.Key) == string(c.HMACKey) {
		p.fault(r.start, "", "client %s: the keys for encryption and HMAC are equal", c.Name)
	}
}

func (r *rawClient) has(name string) bool {
	_, raw := r.values[name]
	_, enc := r.values[name+"_BASE64"]
	return raw || enc
}

func (p *keyParser) key(r *rawClient, name string, limit int) []byte {
	raw, isRaw := r.values[name]
	enc, isEnc := r.values[name+"_BASE64"]
	switch {
	case isRaw && isEnc:
		p.fault(max(raw.line, enc.line), name, "given raw and as base64")
	case isRaw && strings.Contains(raw.text, ";"):
		p.fault(raw.line, name, "a ; ends a value in fwknop's files; write the key as %s_BASE64", name)
	case isRaw:
		return p.checkKey(raw.line, name, []byte(raw.text), limit)
	case isEnc:
		text := strings.TrimRight(strings.TrimRight(enc.text, "; \t"), "=")
		key, err := b64.DecodeString(text)
		if err != nil || !isBase64(text) {
			p.fault(enc.line, name+"_BASE64", "not base64")
			return nil
		}
		return p.checkKey(enc.line, name+"_BASE64", key, limit)
	}
	return nil
}

func (p *keyParser) checkKey(line int, name string, key []byte, limit int) []byte {
	switch {
	case len(key) == 0:
		p.fault(line, name, "empty")
	case len(key) > limit:
		p.fault(line, name, "%d octets long: must be at most %d", len(key), limit)
	case string(key) == "__CHANGEME__":
		p.fault(line, name, "still the placeholder of fwknop's example")
	default:
		return key
	}
	return nil
}

func (p *keyParser) digestType(r *rawClient) {
	v, named := r.values["HMAC_DIGEST_TYPE"]
	if !r.has("HMAC_KEY") {
		if named {
			p.fault(v.line, "HMAC_DIGEST_TYPE", "client %s has no HMAC_KEY", r.client.Name)
		} else if p.hmac != 0 {
			p.fault(r.start, "", "client %s has no HMAC_KEY; spa_hmac = none would take packets without", r.client.Name)
		}
		return
	}
	r.client.HMAC = p.hmac
	if r.client.HMAC == 0 {
		r.client.HMAC = SHA256
	}
	if !named {
		return
	}
	var ok bool
	if r.client.HMAC, ok = ParseHash(strings.TrimRight(v.text, "; \t")); !ok {
		p.fault(v.line, "HMAC_DIGEST_TYPE", "must be one of "+HashNames)
	}
}

func (p *keyParser) mode(r *rawClient) {
	v, ok := r.values["ENCRYPTION_MODE"]
	if !ok {
		return
	}
	var err error
	if r.client.Mode, err = ParseMode(strings.TrimRight(v.text, "; \t")); err != nil {
		p.fault(v.line, "ENCRYPTION_MODE", "%v", err)
	} else if r.client.Mode == Legacy && r.has("HMAC_KEY") {
		p.fault(v.line, "ENCRYPTION_MODE", "legacy goes without HMAC in fwknop; take HMAC_KEY out or use CBC")
	}
}

// checkDuplicates finds clients that nobody can tell apart.
func (p *keyParser) checkDuplicates() {
	for i, a := range p.clients {
		for _, b := range p.clients[:i] {
			if len(a.client.Key) > 0 && sameKeys(&a.client, &b.client) {
				p.fault(a.start, "", "clients %s and %s have the same keys", b.client.Name, a.client.Name)
			}
		}
	}
}

// Advice says what is allowed and not good about a client, one sentence each.
func (c Client) Advice() []string {
	var advice []string
	if c.passphrase {
		advice = append(advice, "KEY is a passphrase: one overheard packet is enough to try guesses offline, and the derivation is MD5; a random KEY_BASE64 cannot be guessed")
	}
	if c.HMAC == 0 {
		advice = append(advice, "packets have no HMAC: every stranger's packet is decrypted to see what it is")
	}
	if c.Mode == Legacy {
		advice = append(advice, "legacy mode uses 16 octets of the key at most; it is meant for very old clients")
	}
	return advice
}

// NewClient returns a client with fresh random keys, as long as fwknop makes
// them: 32 octets for encryption, for the HMAC what suits its type.
func NewClient(name string, hmac Hash) Client {
	size := 64
	switch hmac {
	case MD5, SHA1:
		size = hashes[hmac].size
	case SHA384, SHA512:
		size = MaxHMACKey
	}
	c := Client{Name: name, HMAC: hmac, Key: make([]byte, MaxKey), HMACKey: make([]byte, size)}
	rand.Read(c.Key)
	rand.Read(c.HMACKey)
	return c
}

// KeyLines returns the client's keys as fwknop --key-gen prints them, each line
// with its newline; HMAC_DIGEST_TYPE is written unless it is the default.
func (c Client) KeyLines() string {
	s := "KEY_BASE64: " + stdBase64(c.Key) + "\n"
	if c.HMAC != 0 {
		s += "HMAC_KEY_BASE64: " + stdBase64(c.HMACKey) + "\n"
		if c.HMAC != SHA256 {
			s += "HMAC_DIGEST_TYPE: " + c.HMAC.String() + "\n"
		}
	}
	return s
}

// QRText returns what the app Fwknop2 reads from a QR code: one line, no blank
// after the colons.
func (c Client) QRText() string {
	return "KEY_BASE64:" + stdBase64(c.Key) + " HMAC_KEY_BASE64:" + stdBase64(c.HMACKey)
}
