package ruleset

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxIdentifier leaves room for what follows: a name of nft ends at 255.
const maxIdentifier = 200

// identifier turns a door's name into what nft takes as part of the name of a
// set: a letter, digit or underscore each.
func identifier(name string) string {
	id := strings.Map(func(r rune) rune {
		if r < 128 && (isLetter(r) || '0' <= r && r <= '9') {
			return r
		}
		return '_'
	}, name)
	if len(id) > maxIdentifier {
		id = id[:maxIdentifier]
	}
	return id
}

// checkInterface refuses what one of the firewall tools would take for more
// than an interface's name: a quote, a wildcard, an option.
func checkInterface(name string) error {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-") != "" || name[0] == '-' {
		return fmt.Errorf("interface %q: a ruleset takes names of letters, digits and _ . @ - only", name)
	}
	return nil
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

// naming is how a back end names doors.
type naming struct {
	of     func(name string) string
	number string // for another door of the same name: the format of what is behind it
	limit  int    // how long it may be, with the number
}

// next returns a door's name, which no other has.
func (n naming) next(name string, taken map[string]bool) string {
	first := n.of(name)
	id := first
	for i := 2; taken[id]; i++ {
		number := fmt.Sprintf(n.number, i)
		id = first[:min(len(first), n.limit-len(number))] + number
	}
	taken[id] = true
	return id
}

// maxLogName is how long a door's name may be in the prefix of a log line: the
// NFLOG target of iptables takes 63 octets, and the longest text behind the
// name is ": OPEN SESAME". nft takes 127.
const maxLogName = 50

// Opened is the text that ends the log prefix of an opening.
const Opened = "OPEN SESAME"

// logName returns what the log calls a door: its name, encoded so that neither
// firewall tool reads anything into it (ParseLogPrefix decodes it). Of one
// that is too long it is the beginning and a hash of all.
func logName(name string) string {
	whole := encode(name)
	if len(whole) <= maxLogName {
		return whole
	}
	hash := fmt.Sprintf("-%x", sha256.Sum256([]byte(name)))[:9]
	var b strings.Builder
	for rest := name; rest != ""; {
		_, size := utf8.DecodeRuneInString(rest)
		one := encode(rest[:size])
		if b.Len()+len(one)+len(hash) > maxLogName {
			break
		}
		b.WriteString(one)
		rest = rest[size:]
	}
	return b.String() + hash
}

// stagePrefix returns the text that the kernel sends with a packet that took a
// step: "DOOR: Stage N".
func (d *door) stagePrefix(stage int) string {
	return fmt.Sprintf("%s: Stage %d", logName(d.Name), stage)
}

// openedPrefix returns the log prefix of an opening.
func (d *door) openedPrefix() string { return logName(d.Name) + ": " + Opened }

// encode writes all but letters, digits, blank and .-_ as %XX.
func encode(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if isLetter(rune(c)) || '0' <= c && c <= '9' || strings.IndexByte(".-_ ", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// ParseLogPrefix returns what the prefix that a compiled ruleset gives a packet
// says: the door's name and the stage, 0 if the door has opened. It reports false
// for a prefix that is none of ours.
func ParseLogPrefix(prefix string) (door string, stage int, ok bool) {
	name, text, ok := strings.Cut(strings.TrimRight(prefix, "\x00"), ": ")
	if !ok {
		return "", 0, false
	}
	if n, isStage := strings.CutPrefix(text, "Stage "); isStage {
		v, err := strconv.Atoi(n)
		if err != nil || v < 1 || strconv.Itoa(v) != n {
			return "", 0, false
		}
		stage = v
	} else if text != Opened {
		return "", 0, false
	}
	door, ok = decode(name)
	return door, stage, ok
}

// decode undoes encode.
func decode(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+3 > len(s) {
			return "", false
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String(), true
}
