package config

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"gopkg.in/ini.v1"
)

// space is what knockd 0.8 takes for blank at both ends of a line, a key and
// a value: C's isspace, not Unicode's, so that a command keeps the rest.
const space = " \t\n\v\f\r"

func trim(s string) string { return strings.Trim(s, space) }

// rawSection is a section as it stands in the file.
type rawSection struct {
	name  string
	place Place
	lost  bool // its header is faulty: its keys are checked, it is no door
	items []rawItem
}

// rawItem is a line "key = value", or a word alone on its line.
type rawItem struct {
	place    Place
	key      string // as written
	value    string // byte for byte, without the blanks at its ends
	hasValue bool   // false for a word alone
}

// continues reports whether another line was meant as the rest of this one.
func (i rawItem) continues(next rawItem) bool {
	text := i.value
	if !i.hasValue {
		text = i.key
	}
	return next.place.Line == i.place.Line+1 && strings.HasSuffix(text, `\`)
}

// split reads a file's sections, in order. Faulty lines are reported and left
// out.
//
// ini.v1 tells neither lines nor order nor repeats, and changes what looks
// quoted or ends in a Unicode blank. So each line is handed to it numbered and
// shielded: "key = value" as "12 key .=. value.", which it takes literally.
// It gets the file in parts, since its form of a file is ten times as large as
// the file, and it compares each key with all others of its section.
func split(file string, src []byte, fault func(*Fault)) iter.Seq[*rawSection] {
	return func(yield func(*rawSection) bool) {
		var section *rawSection
		for part := range shield(file, string(src), fault) {
			f, err := ini.LoadSources(literally, []byte(part))
			if err != nil {
				fault(&Fault{Place: Place{File: file}, Err: err})
				return
			}
			for _, s := range f.Sections()[1:] { // the first is ini.v1's own
				if s.Name() != moreMark {
					if section != nil && !yield(section) {
						return
					}
					section = unshieldHeader(file, s.Name())
				}
				section.items = append(section.items, unshield(file, s)...)
			}
		}
		if section != nil {
			yield(section)
		}
	}
}

var literally = ini.LoadOptions{
	AllowBooleanKeys:        true,
	AllowNonUniqueSections:  true, // they are unique: numbered
	IgnoreContinuation:      true,
	IgnoreInlineComment:     true,
	KeyValueDelimiters:      "=",
	PreserveSurroundedQuote: true,
}

const (
	headerMark = "+" // after the number of a section's line
	lostMark   = "-" // the same, of a faulty one
	moreMark   = "*" // the whole name of a section that goes on from the part before
)

// How much is handed to ini.v1 at once.
const (
	partSize  = 64 << 10 // octets; or one line, if that is longer
	partLines = 250
)

// part is what ini.v1 gets next.
type part struct {
	strings.Builder
	lines int
}

func (p *part) full() bool { return p.lines >= partLines || p.Len() > partSize }

func (p *part) add(format string, args ...any) {
	fmt.Fprintf(p, format+"\n", args...)
	p.lines++
}

// take returns the text and empties the part. What follows still belongs to
// the section that is begun.
func (p *part) take(inside bool) string {
	text := p.String()
	*p = part{}
	if inside {
		p.add("[" + moreMark + "]")
	}
	return text
}

// shield yields the file's lines, numbered and shielded, in parts.
func shield(file, src string, fault func(*Fault)) iter.Seq[string] {
	return func(yield func(string) bool) {
		var p part
		c := lineChecker{fault: func(n int, err error) { fault(&Fault{Place: Place{file, n}, Err: err}) }}
		for line := range strings.SplitSeq(src, "\n") {
			line = trim(line)
			if p.full() && !yield(p.take(c.inside)) {
				return
			}
			switch good := c.check(line); {
			case line == "" || line[0] == '#':
			case line[0] == '[':
				p.addHeader(c.n, line, !good)
			case good:
				p.add("%d %s.", c.n, strings.Replace(line, "=", ".=.", 1))
			}
		}
		yield(p.take(false))
	}
}

func (p *part) addHeader(n int, line string, lost bool) {
	if lost {
		p.add("[%d%s]", n, lostMark)
		return
	}
	p.add("[%d%s%s]", n, headerMark, line[1:len(line)-1])
}

// lineChecker looks at one line after the other, before anyone asks what they
// mean.
type lineChecker struct {
	fault  func(n int, err error)
	n      int    // of the latest line
	inside bool   // a section has begun
	uci    bool   // the file is OpenWrt's
	before string // the line before
}

// check reports what is wrong with the next line, and returns whether it is right.
func (c *lineChecker) check(line string) bool {
	c.n++
	err := c.wrong(line)
	switch {
	case err == nil || err == errUCI && c.uci:
	case strings.HasSuffix(c.before, `\`) && c.inside && line[0] != '[':
		c.fault(c.n, continued(c.n-1))
	default:
		c.fault(c.n, cause(line, err))
	}
	c.uci = c.uci || err == errUCI
	c.inside = c.inside || strings.HasPrefix(line, "[")
	c.before = line
	return err == nil
}

func (c *lineChecker) wrong(line string) error {
	switch {
	case line == "" || line[0] == '#':
		return nil
	case c.n == 1 && strings.HasPrefix(line, "\uFEFF"):
		return fmt.Errorf("the file begins with a byte order mark: save it without")
	case strings.ContainsRune(line, 0):
		return fmt.Errorf("a NUL byte: must be text")
	case line == "[]":
		return fmt.Errorf("a section without a name: must be [name]")
	case line[0] == '[' && line[len(line)-1] != ']':
		return fmt.Errorf("a section must be [name], alone on its line")
	case line[0] == ';':
		return fmt.Errorf("comments begin with #, not with ;")
	case line[0] != '[' && !c.inside && likeUCI(line):
		return errUCI
	case line[0] != '[' && !c.inside:
		return fmt.Errorf("stands before the first section: each key must belong to one, [options] or [a door's name]")
	}
	return nil
}

func unshieldHeader(file, header string) *rawSection {
	number, name, ok := strings.Cut(header, headerMark)
	number = strings.TrimSuffix(number, lostMark)
	return &rawSection{name: name, place: Place{file, atoi(number)}, lost: !ok}
}

func unshield(file string, s *ini.Section) []rawItem {
	var items []rawItem
	for _, k := range s.Keys() {
		number, key, _ := strings.Cut(k.Name(), " ")
		item := rawItem{place: Place{file, atoi(number)}, key: trim(strings.TrimSuffix(key, "."))}
		// A word alone has ini.v1's own value; a real one begins with the shield.
		if v, ok := strings.CutPrefix(k.Value(), "."); ok {
			item.hasValue = true
			item.value = trim(strings.TrimSuffix(v, "."))
		}
		items = append(items, item)
	}
	return items
}

// atoi reads back a number that shield wrote.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("config: line number lost: " + err.Error())
	}
	return n
}
