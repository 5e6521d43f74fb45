package fwknop

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"knockd/internal/spa"
)

// RC is the text of a .fwknoprc: stanzas of variables, not yet checked.
type RC struct {
	file    string
	stanzas []rcStanza
}

type rcStanza struct {
	name string
	vars []rcVariable
}

type rcVariable struct {
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
		rc.stanzas = append(rc.stanzas, rcStanza{name: name})
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
	last.vars = append(last.vars, rcVariable{n, name, value})
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

// Profile returns what [default] and then the stanza say; "" is [default] alone.
// All faults of the two are returned at once.
func (rc *RC) Profile(name string) (spa.Profile, error) {
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
				for _, v := range s.vars {
					r.set(v)
				}
			}
		}
	}
	if !found {
		return spa.Profile{}, fmt.Errorf("%s: has no stanza [%s]", rc.file, name)
	}
	r.finish()
	if len(r.faults) > 0 {
		return spa.Profile{}, errors.Join(r.faults...)
	}
	return r.Profile, nil
}

// rcReader fills a Profile.
type rcReader struct {
	spa.Profile
	file           string
	raw, enc       []byte // KEY and KEY_BASE64
	rawMAC, encMAC []byte
	mac            spa.Hash
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

func (r *rcReader) set(v rcVariable) {
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

// finish chooses keys and clock: of a raw and a base64 key fwknop takes the raw
// one.
func (r *rcReader) finish() {
	r.Client.Key, r.Client.HMACKey = r.enc, r.encMAC
	// An offset into the past counts before one into the future, as in fwknop.
	if r.TimeOffset = r.ahead; r.behind != 0 {
		r.TimeOffset = r.behind
	}
	if r.raw != nil {
		r.Client.Key = r.raw
	}
	if r.rawMAC != nil {
		r.Client.HMACKey = r.rawMAC
	}
	if r.Client.HMACKey != nil || r.UseHMAC || r.HMACKeyFile != "" {
		r.Client.HMAC = r.mac
		if r.mac == 0 {
			r.Client.HMAC = spa.SHA256
		}
	}
}

// rcVariables has what each variable does with its value.
var rcVariables = map[string]func(r *rcReader, v string) error{
	"SPA_SERVER":       func(r *rcReader, v string) error { r.Server = v; return nil },
	"SPA_SERVER_PORT":  func(r *rcReader, v string) (err error) { r.Port, err = spa.ParsePort(v); return err },
	"SPA_SOURCE_PORT":  func(r *rcReader, v string) (err error) { r.SourcePort, err = spa.ParsePort(v); return err },
	"NAT_PORT":         func(r *rcReader, v string) (err error) { r.NATPort, err = spa.ParsePort(v); return err },
	"SPA_SERVER_PROTO": func(r *rcReader, v string) (err error) { r.Proto, err = spa.ParseProto(v); return err },
	"RAND_PORT":        func(r *rcReader, v string) error { r.RandomPort = r.RandomPort || rcYes(v); return nil },
	"ACCESS":           func(r *rcReader, v string) (err error) { r.Access, err = spa.ParsePorts(v); return err },
	"ALLOW_IP":         func(r *rcReader, v string) (err error) { r.Allow, err = spa.ParseAllow(v); return err },
	"FW_TIMEOUT":       func(r *rcReader, v string) (err error) { r.Timeout, err = spa.ParseTimeout(v); return err },
	"TIME_OFFSET":      func(r *rcReader, v string) error { return r.setOffset(v) },
	"DIGEST_TYPE":      func(r *rcReader, v string) error { return rcHash(&r.Digest, v) },
	"HMAC_DIGEST_TYPE": func(r *rcReader, v string) error { return rcHash(&r.mac, v) },
	"ENCRYPTION_MODE":  func(r *rcReader, v string) (err error) { r.Client.Mode, err = spa.ParseMode(v); return err },
	"KEY":              func(r *rcReader, v string) error { return rcKey(&r.raw, []byte(v), spa.MaxKey) },
	"KEY_BASE64":       func(r *rcReader, v string) error { return rcBase64(&r.enc, v, spa.MaxKey) },
	"HMAC_KEY":         func(r *rcReader, v string) error { return rcKey(&r.rawMAC, []byte(v), spa.MaxHMACKey) },
	"HMAC_KEY_BASE64":  func(r *rcReader, v string) error { return rcBase64(&r.encMAC, v, spa.MaxHMACKey) },
	"KEY_FILE":         func(r *rcReader, v string) error { r.KeyFile = v; return nil },
	"HMAC_KEY_FILE":    func(r *rcReader, v string) error { r.HMACKeyFile = v; return nil },
	"USE_HMAC":         func(r *rcReader, v string) error { r.UseHMAC = r.UseHMAC || rcYes(v); return nil },
	"SPOOF_SOURCE_IP":  func(r *rcReader, v string) error { r.Forged = v; return nil },
	"SPOOF_USER":       func(r *rcReader, v string) error { r.User = v; return nil },
	"NAT_ACCESS":       func(r *rcReader, v string) error { r.NATAccess = v; return nil },
	"RESOLVE_URL":      func(r *rcReader, v string) error { r.ResolveURL = v; return nil },
	"NAT_LOCAL":        func(r *rcReader, v string) error { r.NATLocal = r.NATLocal || rcYes(v); return nil },
	"NAT_RAND_PORT":    func(r *rcReader, v string) error { r.NATRandom = r.NATRandom || rcYes(v); return nil },
	"USE_GPG": func(r *rcReader, v string) error {
		if rcYes(v) {
			return errNoGPG
		}
		return nil
	},
}

// rcYes: a Y cannot be taken back, by another stanza or later, as in fwknop.
func rcYes(v string) bool { return strings.EqualFold(v, "Y") }

// setOffset keeps the two directions apart: fwknop has one option for each.
func (r *rcReader) setOffset(v string) error {
	d, err := parseOffset(v)
	if strings.HasPrefix(v, "-") {
		r.behind = d
	} else {
		r.ahead = d
	}
	return err
}

func rcHash(to *spa.Hash, v string) error {
	h, ok := spa.ParseHash(v)
	if !ok {
		return errors.New("must be one of " + spa.HashNames)
	}
	*to = h
	return nil
}

func rcBase64(to *[]byte, v string, limit int) error {
	key, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(v, "="))
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

var errOffset = errors.New("must be a number, - before it for the past, with s, min, h or d behind it if not seconds")

// parseOffset reads a time offset: seconds, or a number with a unit, which fwknop
// knows by its first letter; a minus before it stands for the past.
func parseOffset(s string) (time.Duration, error) {
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
	if err != nil || time.Duration(n) > 100*366*24*time.Hour/unit {
		return 0, errOffset
	}
	d := time.Duration(n) * unit
	if minus {
		d = -d
	}
	return d, nil
}

// KeyFromFile returns the key that a file for fwknop's --get-key names for a
// host: a line "HOST: KEY", the host written as the server is.
func KeyFromFile(src []byte, host string) ([]byte, error) {
	for line := range strings.Lines(string(src)) {
		name, key, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok && strings.TrimSpace(name) == host && !strings.HasPrefix(name, "#") {
			if key = strings.TrimSpace(key); key != "" {
				return []byte(key), nil
			}
		}
	}
	return nil, fmt.Errorf("has no line for %s", host)
}
