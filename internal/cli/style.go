package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// Style says whether text for people may be bold and coloured.
type Style bool

// escape wraps text in a sequence of ECMA-48 (8.3.117, SGR).
func (s Style) escape(code, text string) string {
	if !s || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold makes text stand out.
func (s Style) Bold(text string) string { return s.escape("1", text) }

// Heading is for what stands above something.
func (s Style) Heading(text string) string { return s.escape("1;32", text) }

// Good is for what went as it should.
func (s Style) Good(text string) string { return s.escape("32", text) }

// Odd is for what somebody may want to look at.
func (s Style) Odd(text string) string { return s.escape("33", text) }

// Bad is for what is wrong.
func (s Style) Bad(text string) string { return s.escape("31", text) }

// Faint is for what matters less.
func (s Style) Faint(text string) string { return s.escape("2", text) }

// ColorWhen is the usage of --color.
const ColorWhen = "auto, always or never; auto: on a terminal, unless NO_COLOR is set"

// ParseStyle reads the value of --color: for a terminal or for something else,
// and with what the environment has as NO_COLOR.
func ParseStyle(when string, terminal bool, noColor string) (Style, error) {
	switch when {
	case "auto":
		return Style(terminal && noColor == ""), nil
	case "always", "never":
		return when == "always", nil
	}
	return false, fmt.Errorf("--color %s: must be auto, always or never", when)
}

// Screen returns the size of the terminal that a writer writes to; false if it
// is none.
func Screen(w io.Writer) (columns, rows int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, 0, false
	}
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		return 80, 24, true
	}
	return columns, rows, true
}

// Printable writes what a terminal would obey, or would not show, as Go writes
// it: text from elsewhere may hold anything.
func Printable(text string) string {
	bad := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if strings.IndexFunc(text, bad) < 0 {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if bad(r) {
			quoted := strconv.Quote(text[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}

// units of time, as people count it.
var units = []struct {
	length time.Duration
	name   string
}{
	{365 * 24 * time.Hour, "year"}, {24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"},
}

// Duration writes a time as people say it, with its two largest units: "1 minute,
// 3 seconds".
func Duration(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	for i, u := range units {
		if d < u.length {
			continue
		}
		text := Counted(int(d/u.length), u.name)
		if rest := d % u.length; i+1 < len(units) && rest >= units[i+1].length {
			text += ", " + Counted(int(rest/units[i+1].length), units[i+1].name)
		}
		return text
	}
	return Counted(0, "second")
}

// Counted returns a number of things: "1 door", "2 doors".
func Counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
