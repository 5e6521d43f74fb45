package spa

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"knockd/internal/knock"
)

// Type is a message's type (fwknop's field 5).
type Type uint8

// The types of fwknop 2.6. The Timed ones carry the client's wish for how long
// the door stays open.
const (
	Command Type = iota
	Access
	NATAccess
	AccessTimed
	NATAccessTimed
	LocalNAT
	LocalNATTimed
)

func (t Type) nat() bool {
	return t == NATAccess || t == NATAccessTimed || t == LocalNAT || t == LocalNATTimed
}

func (t Type) local() bool { return t == LocalNAT || t == LocalNATTimed }

func (t Type) timed() bool {
	return t == AccessTimed || t == NATAccessTimed || t == LocalNATTimed
}

// Message is what a packet says. The random value, the version and the text of
// a command are checked for their form and not kept.
type Message struct {
	User    string // 1-48 printable octets
	Time    time.Time
	Type    Type
	Address netip.Addr   // to open, IPv4-mapped unmapped; unspecified means the sender
	Ports   []knock.Step // in the order asked for, none twice; empty with Command
	NAT     NATTarget    // with the NAT types
	Timeout time.Duration
}

// NATTarget is where a NAT message leads to.
type NATTarget struct {
	Host string     // an address or a name, up to 69 octets; may be empty with LocalNAT
	Addr netip.Addr // Host, if it is an address
	Port uint16
}

// The limits of the fields, in characters as they stand in the text.
const (
	minText, maxText = 36, 1499
	maxUserText      = 64
	maxTimeText      = 12
	maxVersion       = 8
	maxField         = 256
	maxTimeout       = 65536 // seconds
	maxNATHost       = 69    // fwknopd copies it into 70 octets
)

var (
	errText   = errors.New("text: must be 36 to 1499 printable characters")
	errFields = errors.New("wrong number of fields")
	errDigest = errors.New("digest: does not fit the text")
)

// splitDigest cuts the digest off and compares it. The bytes returned are what
// the digest covers, and what replay tokens are made of.
func splitDigest(text []byte) ([]byte, error) {
	if len(text) < minText || len(text) > maxText || !printable(text) {
		return nil, errText
	}
	i := bytes.LastIndexByte(text, ':')
	if i < 0 {
		return nil, errFields
	}
	body, digest := text[:i], text[i+1:]
	for h := MD5; h <= SHA3_512; h++ {
		if h.textLen() == len(digest) && subtle.ConstantTimeCompare(h.text(body), digest) == 1 {
			return body, nil
		}
	}
	return nil, errDigest
}

// parseMessage reads the text before the digest. It is as strict as fwknopd or
// stricter: every number is digits to its end.
func parseMessage(body []byte) (Message, error) {
	f := strings.Split(string(body), ":")
	if len(f) < 6 {
		return Message{}, errFields
	}
	if len(f[0]) != 16 || !allDigits(f[0]) {
		return Message{}, errors.New("random value: must be 16 digits")
	}
	var m Message
	var err error
	if m.User, err = parseUser(f[1]); err != nil {
		return Message{}, err
	}
	if m.Time, err = parseTime(f[2]); err != nil {
		return Message{}, err
	}
	if f[3] == "" || len(f[3]) > maxVersion {
		return Message{}, errors.New("version: must be 1 to 8 characters")
	}
	if len(f[4]) != 1 || f[4][0] < '0' || f[4][0] > '6' {
		return Message{}, errors.New("type: must be one digit from 0 to 6")
	}
	m.Type = Type(f[4][0] - '0')
	if err := m.parseContent(f[5]); err != nil {
		return Message{}, err
	}
	if err := m.parseRest(f[6:]); err != nil {
		return Message{}, err
	}
	return m, nil
}

// parseRest reads the fields behind the message: NAT target, server_auth (which
// no client writes and nobody reads), timeout.
func (m *Message) parseRest(f []string) error {
	if m.Type.nat() {
		if len(f) == 0 {
			return errors.New("NAT target: missing")
		}
		if err := m.parseNAT(f[0]); err != nil {
			return err
		}
		f = f[1:]
	}
	if m.Type.timed() {
		if len(f) == 0 {
			return errors.New("timeout: missing")
		}
		n, err := strconv.ParseUint(f[len(f)-1], 10, 32)
		if err != nil || n > maxTimeout || !allDigits(f[len(f)-1]) {
			return errors.New("timeout: must be 0 to 65536")
		}
		m.Timeout = time.Duration(n) * time.Second
		f = f[:len(f)-1]
	}
	if len(f) > 1 {
		return errFields
	}
	if len(f) == 1 && (len(f[0]) > maxField || !isBase64(f[0])) {
		return errors.New("server_auth: must be base64 of at most 256 characters")
	}
	return nil
}

func parseUser(text string) (string, error) {
	user, err := decodeField("user name", text, maxUserText)
	if err != nil {
		return "", err
	}
	if !ValidUser(user) {
		return "", errors.New("user name: has a character that is not allowed")
	}
	return user, nil
}

// ValidUser reports whether servers take a user name: 1 to 48 printable characters
// except some.
func ValidUser(name string) bool {
	return name != "" && len(name) <= maxUserText/4*3 && printable(name) && !strings.ContainsAny(name, `"/\[]:;|=,+*?<>`)
}

func parseTime(text string) (time.Time, error) {
	if len(text) > maxTimeText || !allDigits(text) {
		return time.Time{}, errors.New("timestamp: must be 1 to 12 digits")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, errors.New("timestamp: must be 1 to 12 digits")
	}
	return time.Unix(n, 0), nil
}

// parseContent reads field 6: an address and, behind a comma, ports or a
// command.
func (m *Message) parseContent(field string) error {
	text, err := decodeField("message", field, maxField)
	if err != nil {
		return err
	}
	addr, rest, ok := strings.Cut(text, ",")
	if !ok || rest == "" {
		return errors.New("message: must be an address, a comma and what is asked for")
	}
	if m.Address, err = parseAddress(addr); err != nil {
		return fmt.Errorf("message: address: %w", err)
	}
	if m.Type == Command {
		return nil
	}
	if m.Ports, err = ParsePorts(rest); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	return nil
}

func (m *Message) parseNAT(field string) error {
	text, err := decodeField("NAT target", field, maxField)
	if err != nil {
		return err
	}
	host, port, ok := strings.Cut(text, ",")
	if !ok || len(host) > maxNATHost || !printable(host) || strings.ContainsAny(host, " /?\"'\\") {
		return errors.New("NAT target: must be a host, a comma and a port")
	}
	if host == "" && m.Type != LocalNAT && m.Type != LocalNATTimed {
		return errors.New("NAT target: has no host")
	}
	m.NAT.Host = host
	m.NAT.Addr, _ = parseAddress(host)
	if m.NAT.Port, err = ParsePort(port); err != nil {
		return fmt.Errorf("NAT target: %w", err)
	}
	return nil
}

// parseAddress reads an IPv4 address as inet_aton reads one of four parts (an
// octet with a leading zero is octal), or an IPv6 address without zone.
func parseAddress(s string) (netip.Addr, error) {
	if strings.Contains(s, ":") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Addr{}, errors.New("not an address")
		}
		return a.Unmap(), nil
	}
	parts := strings.Split(s, ".")
	if len(parts) != 4 || len(s) > 15 {
		return netip.Addr{}, errors.New("not an address")
	}
	var a [4]byte
	for i, p := range parts {
		base := 10
		if len(p) > 1 && p[0] == '0' {
			base = 8
		}
		n, err := strconv.ParseUint(p, base, 8)
		if err != nil {
			return netip.Addr{}, errors.New("not an address")
		}
		a[i] = byte(n)
	}
	return netip.AddrFrom4(a), nil
}

// ParsePorts reads "tcp/22,udp/53" as fwknop's -A takes it: no blanks, tcp and
// udp in small letters. A port named twice is returned once.
func ParsePorts(s string) ([]knock.Step, error) {
	var ports []knock.Step
	seen := map[knock.Step]bool{}
	for spec := range strings.SplitSeq(s, ",") {
		proto, number, _ := strings.Cut(spec, "/")
		var p knock.Step
		switch proto {
		case "tcp":
			p.Proto = knock.TCP
		case "udp":
			p.Proto = knock.UDP
		default:
			return nil, errors.New("port: must be written tcp/N or udp/N")
		}
		var err error
		if p.Port, err = ParsePort(number); err != nil {
			return nil, err
		}
		if !seen[p] {
			seen[p] = true
			ports = append(ports, p)
		}
	}
	return ports, nil
}

// ParsePort reads a port's number, 1 to 65535.
func ParsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || len(s) > 5 || !allDigits(s) {
		return 0, errors.New("port: must be between 1 and 65535")
	}
	return uint16(n), nil
}

// decodeField opens a base64 field of 1 to limit characters, strictly.
func decodeField(name, text string, limit int) (string, error) {
	if text == "" || len(text) > limit {
		return "", fmt.Errorf("%s: must be 1 to %d characters", name, limit)
	}
	raw, err := b64.DecodeString(text)
	if err != nil || !isBase64(text) {
		return "", fmt.Errorf("%s: not strict base64", name)
	}
	return string(raw), nil
}

func isBase64(s string) bool {
	for i := range len(s) {
		if !base64Char[s[i]] {
			return false
		}
	}
	return true
}

func printable[T ~string | ~[]byte](s T) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
