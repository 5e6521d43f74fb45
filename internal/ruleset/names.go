package ruleset

import (
	"fmt"
	"strconv"
	"strings"
)

// identifier turns a door's name into what nft takes as part of the name of a
// set: a letter, digit or underscore each.
func identifier(name string) string {
	id := strings.Map(func(r rune) rune {
		if r < 128 && (isLetter(r) || '0' <= r && r <= '9') {
			return r
		}
		return '_'
	}, name)
	if len(id) > 200 {
		id = id[:200] // a name of nft ends at 255
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

// unique returns the name, numbered if another door has it already.
func unique(name string, taken map[string]bool) string {
	id := name
	for n := 2; taken[id]; n++ {
		id = name + "_" + strconv.Itoa(n)
	}
	taken[id] = true
	return id
}

// maxLogPrefix is how long a prefix the NFLOG target of iptables takes; nft
// takes 127.
const maxLogPrefix = 63

// Opened is the text that ends the log prefix of an opening.
const Opened = "OPEN SESAME"

// logPrefix returns the text that the kernel sends with a packet that took a
// step: "DOOR: Stage N". A name is encoded so that neither firewall tool
// reads anything into it; ParseLogPrefix decodes it.
func logPrefix(name string, stage int) (string, error) {
	s := fmt.Sprintf("%s: Stage %d", encode(name), stage)
	if len(s) > maxLogPrefix {
		return "", fmt.Errorf("too long for a log prefix of %d octets", maxLogPrefix)
	}
	return s, nil
}

// stagePrefix is logPrefix of a name that has been checked.
func (d *door) stagePrefix(stage int) string {
	return fmt.Sprintf("%s: Stage %d", encode(d.Name), stage)
}

// openPrefix is the log prefix of an opening.
func (d *door) openedPrefix() string { return encode(d.Name) + ": " + Opened }

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

// ParseLogPrefix returns the text of a log line after the address, such as
// "openSSH: Stage 1", from the prefix that a compiled ruleset gives a packet.
// It reports false for a prefix that is none of ours.
func ParseLogPrefix(prefix string) (string, bool) {
	name, text, ok := strings.Cut(strings.TrimRight(prefix, "\x00"), ": ")
	if !ok {
		return "", false
	}
	if n, isStage := strings.CutPrefix(text, "Stage "); isStage {
		if v, err := strconv.Atoi(n); err != nil || v < 1 || strconv.Itoa(v) != n {
			return "", false
		}
	} else if text != Opened {
		return "", false
	}
	door, ok := decode(name)
	return door + ": " + text, ok
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
