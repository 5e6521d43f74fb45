package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"knockd/internal/knock"
)

// follow says what may stand behind a value. Knockd 0.8 reads the digits that
// a number begins with and nothing else, so people comment there.
type follow int

const (
	nothing         follow = iota // the value is a text that may hold any character
	comment                       // behind a number
	unitAndComment                // behind a time: s, sec or seconds, a comment or both
	listComment                   // a comment without a comma
	sequenceComment               // one that nobody can take for steps
)

// cut splits a value from what stands behind it.
func (f follow) cut(value string) (bare, text string, err error) {
	if f == nothing {
		return value, "", nil
	}
	bare, text = knock.CutComment(value)
	switch f {
	case unitAndComment:
		if m := withUnit.FindStringSubmatch(bare); m != nil {
			bare, text = m[1], trim(value[len(m[1]):])
		}
	case listComment:
		if strings.ContainsRune(text, ',') {
			err = fmt.Errorf("the comment %s must not hold a comma", shown(text))
		}
	case sequenceComment:
		if err = knock.CheckComment(bare, text); err != nil {
			err = fmt.Errorf("the comment %s %w (%s)", shown(masked(text)), err, sequence08(value))
		}
	}
	return bare, text, err
}

var withUnit = regexp.MustCompile(`(?i)^(\+?[0-9]+)[ \t\v\f\r]*(?:s|sec|seconds)$`)

// ignored returns the warning about a text that was cut off.
func (f follow) ignored(text string) error {
	if f != sequenceComment {
		return fmt.Errorf("%s behind the value is not read", shown(text))
	}
	note := ""
	if strings.ContainsRune(text, ':') {
		note = " (knockd 0.8 looks for a protocol in it)"
	}
	return fmt.Errorf("%s behind the value is not read%s", shown(masked(text)), note)
}

// hint adds to a fault what may have been meant as a comment.
func (f follow) hint(value string, err error) error {
	_, text := knock.CutComment(value)
	switch {
	case f == nothing && text != "":
		return fmt.Errorf("%w (a comment must stand on a line of its own)", err)
	case f != nothing && text == "" && strings.ContainsRune(value, '#'):
		return fmt.Errorf("%w (a comment must have a blank before it)", err)
	}
	return cause(value, err)
}

// shown quotes a text, or its beginning.
func shown(text string) string {
	const longest = 60
	if runes := []rune(text[:min(len(text), 4*longest)]); len(runes) > longest {
		text = string(runes[:longest]) + "..."
	}
	return strconv.Quote(text)
}

// masked hides what may be a port: sequences are secret.
func masked(text string) string { return number.ReplaceAllString(text, "*") }

var number = regexp.MustCompile(`[0-9]{2,}`)

// number08 returns what knockd 0.8 reads of a number, as C's atoi does: the
// digits that it begins with, whatever follows them.
func number08(text string) int32 {
	text = strings.TrimLeft(text, space)
	sign := text[:min(len(text), 1)]
	if sign == "-" || sign == "+" {
		text = text[1:]
	} else {
		sign = ""
	}
	digits := text[:len(text)-len(strings.TrimLeft(text, "0123456789"))]
	n, _ := strconv.ParseInt(sign+digits, 10, 64) // beyond its range, the limit
	return int32(n)
}

const refused08 = "knockd 0.8 refuses it too"

// sequence08 says what knockd 0.8 makes of a sequence, without telling a port.
func sequence08(text string) string {
	n, zeros := strings.Count(text, ",")+1, 0
	if n > knock.MaxSteps {
		return refused08
	}
	for field := range strings.SplitSeq(text, ",") {
		port, protocol, named := strings.Cut(field, ":")
		protocol, _, _ = strings.Cut(protocol, ":")
		protocol = trim(protocol)
		if named && !strings.EqualFold(protocol, "tcp") && !strings.EqualFold(protocol, "udp") || number08(port) > 65535 {
			return refused08
		}
		if uint16(number08(port)) == 0 {
			zeros++
		}
	}
	switch {
	case n == 1 && zeros == 1:
		return "knockd 0.8 reads port 0"
	case n == 1:
		return "knockd 0.8 reads one port"
	case zeros > 0:
		return fmt.Sprintf("knockd 0.8 reads %d ports, %d of them 0", n, zeros)
	}
	return fmt.Sprintf("knockd 0.8 reads %d ports", n)
}
