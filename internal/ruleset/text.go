package ruleset

import (
	"fmt"
	"strings"
	"time"

	"knockd/internal/knock"
)

// text gathers the lines of a ruleset.
type text struct{ b strings.Builder }

// line writes one line, with the parts that are not empty joined by blanks.
func (t *text) line(indent string, parts ...string) {
	var keep []string
	for _, p := range parts {
		if p != "" {
			keep = append(keep, p)
		}
	}
	t.b.WriteString(indent + strings.Join(keep, " ") + "\n")
}

func (t *text) printf(format string, args ...any) { fmt.Fprintf(&t.b, format, args...) }

// maxComment bounds a comment. Iptables-restore reads lines of 10,240 octets:
// what is behind them is a line of its own, and no comment.
const maxComment = 1000

// comments writes each text as a comment.
func (t *text) comments(lines ...string) {
	for _, l := range lines {
		if len(l) > maxComment {
			l = strings.ToValidUTF8(l[:maxComment], "") + " ..."
		}
		t.b.WriteString(strings.TrimRight("# "+printable(l), " ") + "\n")
	}
}

// printable keeps a name from ending a comment's line. What else a ruleset
// holds of a configuration's texts is checked (checkInterface) or encoded
// (identifier, encode).
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return '?'
		}
		return r
	}, s)
}

// nftTime writes a time for nft, in the largest unit that loses nothing.
func nftTime(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

// flagMask returns the flags a door looks at and the value they must have.
func flagMask(m knock.FlagMatch) (mask, value knock.Flags) { return m.Set | m.Clear, m.Set }

// describe says what a door does, for the comments.
func (d *door) describe() string {
	var names []string
	for _, s := range d.Sequence {
		names = append(names, s.String())
	}
	parts := []string{strings.Join(names, ", ") + " within " + d.Timeout.String()}
	if len(d.Open) > 0 {
		parts = append(parts, "opens "+knock.PortNames(d.Open, ", ")+d.where()+d.duration())
	}
	for _, c := range d.closes {
		parts = append(parts, "closes "+c.Name)
	}
	return d.Name + ": " + strings.Join(parts, "; ")
}

func (d *door) where() string {
	if d.OpenOn == "" {
		return ""
	}
	return " on " + d.OpenOn
}

func (d *door) duration() string {
	if d.CmdTimeout == 0 {
		return " until it is closed"
	}
	return " for " + d.CmdTimeout.String()
}
