package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What files hold that were copied from a web page or made for another
// program: faults name it as their cause.

// oddBlank names the first character of a text that looks like a blank, or
// like nothing, and is none here; "" if there is no such character.
func oddBlank(text string) string {
	for _, r := range text {
		switch {
		case r == '\u00a0' || r == '\u202f':
			return fmt.Sprintf("a no-break space (U+%04X)", r)
		case r >= utf8.RuneSelf && unicode.IsSpace(r), r == '\u200b', r == '\u2060', r == '\ufeff':
			return fmt.Sprintf("an unusual blank (U+%04X)", r)
		}
	}
	if !utf8.ValidString(text) && strings.Contains(text, "\xa0") {
		return "a no-break space (octet A0)"
	}
	return ""
}

// cause adds to a fault of a text what may have led to it.
func cause(text string, err error) error {
	if odd := oddBlank(strings.TrimPrefix(text, "\ufeff")); odd != "" {
		return fmt.Errorf("%w (it holds %s: write an ordinary blank)", err, odd)
	}
	if quoted(text) {
		return fmt.Errorf("%w (there is no quoting: the quotes belong to the value)", err)
	}
	return err
}

// quoted reports whether a value stands in quotes, which then belong to it.
func quoted(value string) bool {
	last := len(value) - 1
	return last > 0 && (value[0] == '"' || value[0] == '\'') && value[last] == value[0]
}

// continued returns the fault of a line that was meant as the rest of the one
// before.
func continued(line int) error {
	return fmt.Errorf("a line cannot be continued, and line %d ends in a backslash: write all of it on one line", line)
}

// likeUCI reports whether a line has the form of OpenWrt's configuration files.
func likeUCI(line string) bool {
	word, rest, _ := strings.Cut(line, " ")
	if strings.ContainsRune(word, '\t') {
		word, rest, _ = strings.Cut(line, "\t")
	}
	switch word {
	case "config", "package", "option", "list":
		return rest != "" && !strings.HasPrefix(trim(rest), "=")
	}
	return false
}

var errUCI = fmt.Errorf("a file of OpenWrt's UCI, as in /etc/config: here a section is [name], and its lines are key = value")

// misread says what a shell makes of a command that was copied from a web
// page, or quoted for another program; "" if nothing of the kind is in it.
func misread(command string) string {
	for _, odd := range []struct{ text, means string }{
		{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", `"`}, {"&#39;", "'"},
	} {
		if strings.Contains(command, odd.text) {
			return fmt.Sprintf("holds %s, as the source of a web page writes %s", odd.text, odd.means)
		}
	}
	if odd := oddBlank(command); odd != "" {
		return fmt.Sprintf("holds %s, which the shell takes for a letter", odd)
	}
	if i := strings.IndexAny(command, "\u2018\u2019\u201c\u201d\u2013\u2014"); i >= 0 {
		r, _ := utf8.DecodeRuneInString(command[i:])
		return fmt.Sprintf("holds %c (U+%04X), which the shell takes for a letter: a program that makes texts pretty put it in place of a quote or -", r, r)
	}
	if strings.HasSuffix(command, `\`) {
		return "ends in a backslash: a line cannot be continued"
	}
	if quoted(command) && strings.ContainsRune(command, ' ') && strings.Count(command, command[:1]) == 2 {
		return "is one word for the shell, the name of a program, since quotes belong to the command: write it without"
	}
	return ""
}
