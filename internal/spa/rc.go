package spa

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// RC is the text of a .fwknoprc: stanzas of variables, not yet checked.
type RC struct {
	file    string
	stanzas []stanza
}

type stanza struct {
	name string
	vars []variable
}

type variable struct {
	line        int
	name, value string
}

// ParseRC reads a .fwknoprc as fwknop does: [stanza] lines, NAME VALUE or NAME:
// VALUE, comments that begin with # or ; in the first column. A value ends at a
// blank, ; or #. What stands before the first stanza is skipped. Values are
// checked when a stanza is asked for, so that one that is not used may hold
// anything.
func ParseRC(file string, src []byte) (*RC, error) {
	rc := &RC{file: file}
	var faults []error
	n := 0
	for line := range strings.Lines(string(src)) {
		n++
		if line[0] == '#' || line[0] == ';' {
			continue
		}
		if err := rc.line(n, strings.Trim(line, " \t\r\n")); err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w", file, n, err))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return rc, nil
}

func (rc *RC) line(n int, s string) error {
	if s == "" {
		return nil
	}
	if s[0] == '[' {
		name, _, ok := strings.Cut(s[1:], "]")
		if !ok || name == "" {
			return errors.New("not a [stanza]")
		}
		rc.stanzas = append(rc.stanzas, stanza{name: name})
		return nil
	}
	if len(rc.stanzas) == 0 {
		return nil
	}
	name, value := s, ""
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		name, value = s[:i], strings.Trim(s[i:], " \t")
	}
	name = strings.TrimSuffix(name, ":")
	if i := strings.IndexAny(value, " \t;#"); i >= 0 {
		value = value[:i]
	}
	if value == "" {
		return errors.New("not NAME VALUE, [stanza] or a comment")
	}
	last := &rc.stanzas[len(rc.stanzas)-1]
	last.vars = append(last.vars, variable{n, name, value})
	return nil
}

// DefaultStanza is the one that all others build on.
const DefaultStanza = "default"

// Stanzas returns the names, in the file's order, without the default.
func (rc *RC) Stanzas() []string {
	var names []string
	for _, s := range rc.stanzas {
		if !strings.EqualFold(s.name, DefaultStanza) {
			names = append(names, s.name)
		}
	}
	return names
}

// Profile is how to ask a server: what a stanza of .fwknoprc says. The zero value
// of a field says that nothing was set.
type Profile struct {
	Server     string // host name or address
	Port       uint16 // DefaultPort if 0
	RandomPort bool
	Proto      string // udp if empty, or tcp, http, udpraw, tcpraw, icmp
	SourcePort uint16
	Forged     string // the sender's address in packets made by hand: udpraw, tcpraw, icmp
	Access     []Port
	Allow      string        // an IPv4 address, "source" or "resolve"
	Timeout    time.Duration // what to ask for, 0 for the server's own
	TimeOffset time.Duration // added to the clock
	Digest     Hash
	User       string
	NATAccess  string // HOST, HOST:PORT or HOST,PORT
	NATLocal   bool
	NATPort    uint16
	NATRandom  bool
	ResolveURL string // the page to ask for the outside address, "" for the usual one

	Client      Client // without a name; Key is empty if no key was named
	UseHMAC     bool
	KeyFile     string // see KeyFromFile
	HMACKeyFile string
	Ignored     []string // variables that mean nothing here, as FILE:LINE: NAME
}

// Profile returns what [default] and then the stanza say; "" is [default] alone.
// All faults of the two are returned at once.
func (rc *RC) Profile(name string) (Profile, error) {
	r := rcReader{file: rc.file}
	names := []string{DefaultStanza}
	found := name == "" || strings.EqualFold(name, DefaultStanza)
	if !found {
		names = append(names, name)
	}
	for _, want := range names {
		for _, s := range rc.stanzas {
			if strings.EqualFold(s.name, want) {
				found = found || want == name
				r.setAll(s.vars)
			}
		}
	}
	if !found {
		return Profile{}, fmt.Errorf("%s: has no stanza [%s]", rc.file, name)
	}
	r.finish()
	if len(r.faults) > 0 {
		return Profile{}, errors.Join(r.faults...)
	}
	return r.Profile, nil
}

// rcReader fills a Profile.
type rcReader struct {
	Profile
	file           string
	raw, enc       []byte // KEY and KEY_BASE64
	rawMAC, encMAC []byte
	mac            Hash
	ahead, behind  time.Duration
	faults         []error
}

var errNoGPG = errors.New("GPG is not supported")

// rcIgnored are variables that tune what this project does otherwise or not.
var rcIgnored = map[string]bool{
	"VERBOSE": true, "NO_SAVE_ARGS": true, "RESOLVE_IP_HTTPS": true, "RESOLVE_IP_HTTP": true,
	"RESOLVE_HTTP_ONLY": true, "WGET_CMD": true, "SERVER_RESOLVE_IPV4": true, "HTTP_USER_AGENT": true, "USE_WGET_USER_AGENT": true,
	"GPG_RECIPIENT": true, "GPG_SIGNER": true, "GPG_HOMEDIR": true, "GPG_EXE": true, "GPG_SIGNING_PW": true, "GPG_SIGNING_PW_BASE64": true,
	"GPG_NO_SIGNING_PW": true, "USE_GPG_AGENT": true,
}

func (r *rcReader) setAll(vars []variable) {
	for _, v := range vars {
		r.set(v)
	}
}

func (r *rcReader) set(v variable) {
	if rcIgnored[v.name] {
		r.Ignored = append(r.Ignored, fmt.Sprintf("%s:%d: %s", r.file, v.line, v.name))
		return
	}
	set, ok := rcVariables[v.name]
	if !ok {
		r.faults = append(r.faults, fmt.Errorf("%s:%d: unknown variable", r.file, v.line))
		return
	}
	if err := set(r, v.value); err != nil {
		r.faults = append(r.faults, fmt.Errorf("%s:%d: %s: %w", r.file, v.line, v.name, err))
	}
}

// finish settles keys and clock: of a raw and a base64 one fwknop takes the raw one.
func (r *rcReader) finish() {
	r.Client.Key, r.Client.HMACKey = r.enc, r.encMAC
	// An offset into the past counts before one into the future, as in fwknop.
	if r.TimeOffset = r.ahead; r.behind != 0 {
		r.TimeOffset = r.behind
	}
	if r.raw != nil {
		r.Client.Key, r.Client.passphrase = r.raw, true
	}
	if r.rawMAC != nil {
		r.Client.HMACKey = r.rawMAC
	}
	if r.Client.HMACKey != nil || r.UseHMAC || r.HMACKeyFile != "" {
		r.Client.HMAC = r.mac
		if r.mac == 0 {
			r.Client.HMAC = SHA256
		}
	}
}

// rcVariables has what each variable does with its value.
var rcVariables = map[string]func(r *rcReader, v string) error{
	"SPA_SERVER":       func(r *rcReader, v string) error { r.Server = v; return nil },
	"SPA_SERVER_PORT":  func(r *rcReader, v string) (err error) { r.Port, err = ParsePort(v); return err },
	"SPA_SOURCE_PORT":  func(r *rcReader, v string) (err error) { r.SourcePort, err = ParsePort(v); return err },
	"NAT_PORT":         func(r *rcReader, v string) (err error) { r.NATPort, err = ParsePort(v); return err },
	"SPA_SERVER_PROTO": func(r *rcReader, v string) (err error) { r.Proto, err = ParseProto(v); return err },
	"RAND_PORT":        func(r *rcReader, v string) error { r.RandomPort = r.RandomPort || yes(v); return nil },
	"ACCESS":           func(r *rcReader, v string) (err error) { r.Access, err = ParsePorts(v); return err },
	"ALLOW_IP":         func(r *rcReader, v string) (err error) { r.Allow, err = ParseAllow(v); return err },
	"FW_TIMEOUT":       func(r *rcReader, v string) (err error) { r.Timeout, err = ParseTimeout(v); return err },
	"TIME_OFFSET":      func(r *rcReader, v string) error { return r.setOffset(v) },
	"DIGEST_TYPE":      func(r *rcReader, v string) error { return rcHash(&r.Digest, v) },
	"HMAC_DIGEST_TYPE": func(r *rcReader, v string) error { return rcHash(&r.mac, v) },
	"ENCRYPTION_MODE":  func(r *rcReader, v string) (err error) { r.Client.Mode, err = parseMode(v); return err },
	"KEY":              func(r *rcReader, v string) error { return rcKey(&r.raw, []byte(v), MaxKey) },
	"KEY_BASE64":       func(r *rcReader, v string) error { return rcBase64(&r.enc, v, MaxKey) },
	"HMAC_KEY":         func(r *rcReader, v string) error { return rcKey(&r.rawMAC, []byte(v), MaxHMACKey) },
	"HMAC_KEY_BASE64":  func(r *rcReader, v string) error { return rcBase64(&r.encMAC, v, MaxHMACKey) },
	"KEY_FILE":         func(r *rcReader, v string) error { r.KeyFile = v; return nil },
	"HMAC_KEY_FILE":    func(r *rcReader, v string) error { r.HMACKeyFile = v; return nil },
	"USE_HMAC":         func(r *rcReader, v string) error { r.UseHMAC = r.UseHMAC || yes(v); return nil },
	"SPOOF_SOURCE_IP":  func(r *rcReader, v string) error { r.Forged = v; return nil },
	"SPOOF_USER":       func(r *rcReader, v string) error { r.User = v; return nil },
	"NAT_ACCESS":       func(r *rcReader, v string) error { r.NATAccess = v; return nil },
	"RESOLVE_URL":      func(r *rcReader, v string) error { r.ResolveURL = v; return nil },
	"NAT_LOCAL":        func(r *rcReader, v string) error { r.NATLocal = r.NATLocal || yes(v); return nil },
	"NAT_RAND_PORT":    func(r *rcReader, v string) error { r.NATRandom = r.NATRandom || yes(v); return nil },
	"USE_GPG": func(r *rcReader, v string) error {
		if yes(v) {
			return errNoGPG
		}
		return nil
	},
}

// yes: a Y cannot be taken back, by another stanza or later, as in fwknop.
func yes(v string) bool { return strings.EqualFold(v, "Y") }

// setOffset keeps the two directions apart: fwknop has one option for each.
func (r *rcReader) setOffset(v string) error {
	d, err := ParseOffset(v)
	if strings.HasPrefix(v, "-") {
		r.behind = d
	} else {
		r.ahead = d
	}
	return err
}

// ParseProto reads a transport's name, in any case.
func ParseProto(v string) (string, error) {
	switch v = strings.ToLower(v); v {
	case "udp", "tcp", "http", "udpraw", "tcpraw", "icmp":
		return v, nil
	}
	return "", errors.New("must be udp, tcp, http, udpraw, tcpraw or icmp")
}

// ParseAllow reads what Profile.Allow may be.
func ParseAllow(v string) (string, error) {
	switch word := strings.ToLower(v); word {
	case "source", "resolve":
		return word, nil
	}
	if a, err := netip.ParseAddr(v); err != nil || a.Zone() != "" {
		return "", errors.New("must be an address, source or resolve")
	}
	return v, nil
}

// ParseAccess is ParsePorts for people: blanks do not matter.
func ParseAccess(v string) ([]Port, error) {
	return ParsePorts(strings.NewReplacer(" ", "", "\t", "").Replace(v))
}

func rcHash(to *Hash, v string) error {
	h, ok := ParseHash(v)
	if !ok {
		return errors.New("must be one of " + HashNames)
	}
	*to = h
	return nil
}

func rcBase64(to *[]byte, v string, limit int) error {
	key, err := b64.DecodeString(strings.TrimRight(v, "="))
	if err != nil {
		return errors.New("not base64")
	}
	return rcKey(to, key, limit)
}

func rcKey(to *[]byte, key []byte, limit int) error {
	switch {
	case len(key) == 0:
		return errors.New("empty")
	case len(key) > limit:
		return fmt.Errorf("%d octets long: must be at most %d", len(key), limit)
	}
	*to = key
	return nil
}

// ParseTimeout reads the seconds a client asks for, 0 to 65536: what servers
// take.
func ParseTimeout(s string) (time.Duration, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxTimeout || !allDigits(s) {
		return 0, fmt.Errorf("must be a number of seconds from 0 to %d", maxTimeout)
	}
	return time.Duration(n) * time.Second, nil
}

var errOffset = errors.New("must be a number, - before it for the past, with s, min, h or d behind it if not seconds")

// ParseOffset reads a time offset: seconds, or with a unit that fwknop knows by
// its first letter, a minus before it for the past.
func ParseOffset(s string) (time.Duration, error) {
	number, minus := strings.CutPrefix(strings.ToLower(s), "-")
	digits := strings.TrimRight(number, "abcdefghijklmnopqrstuvwxyz")
	unit := time.Second
	if digits != number {
		switch number[len(digits)] {
		case 's':
		case 'm':
			unit = time.Minute
		case 'h':
			unit = time.Hour
		case 'd':
			unit = 24 * time.Hour
		default:
			return 0, errOffset
		}
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || !allDigits(digits) || time.Duration(n) > 100*366*24*time.Hour/unit {
		return 0, errOffset
	}
	d := time.Duration(n) * unit
	if minus {
		d = -d
	}
	return d, nil
}
