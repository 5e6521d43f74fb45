package show

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"knockd/internal/cli"
	"knockd/internal/control"
)

// Lines writes events as they happen, a line each. On a screen the line of a
// knocker grows stage by stage.
type Lines struct {
	W       io.Writer
	Style   cli.Style
	Columns int // of the screen; 0: it is none

	ways map[way]progress
	last way  // whose line is not ended yet
	open bool // there is such a line
}

// way is a knocker on the way through a door.
type way struct {
	door    string
	address netip.Addr
}

// maxWays bounds how many knockers' lines are remembered.
const maxWays = 1000

// Event writes an event.
func (l *Lines) Event(e *control.Event) error {
	if l.Columns == 0 {
		return l.plain(e)
	}
	k := way{e.Door, e.Address}
	before := l.ways[k]
	now, ok := before.with(k, e)
	if !ok {
		return l.whole(e)
	}
	begin := ""
	switch {
	case l.open && l.last == k && now.goesOn:
		begin = "\r\x1b[K"
	case l.open:
		begin = "\n"
	}
	l.open, l.last = true, k
	l.remember(k, now)
	return l.write(begin + l.clock(e) + l.painted(e.Kind, l.fitted(k, e.Host, now.text)))
}

func (l *Lines) remember(k way, now progress) {
	if l.ways == nil || len(l.ways) >= maxWays {
		l.ways = map[way]progress{}
	}
	if l.ways[k] = now; now.ended {
		delete(l.ways, k)
	}
}

// progress is how far a knocker is, as the line says it.
type progress struct {
	text   string
	goesOn bool // the line is that of before, with more on it
	in     bool // the door opens
	ended  bool
}

// with returns what the line says with one more event; false if it is not about
// the way to a door.
func (p progress) with(k way, e *control.Event) (progress, bool) {
	if p.in && e.Kind != control.Opened {
		p = progress{}
	}
	switch e.Kind {
	case control.Stage:
		if p.text != "" && e.Stage > 1 {
			return progress{text: fmt.Sprintf("%s, %d", p.text, e.Stage), goesOn: true}, true
		}
		return progress{text: fmt.Sprintf("stage %d", e.Stage)}, true
	case control.Admitted:
		p = p.then("OPEN SESAME")
		p.in = true
		return p, true
	case control.Opened:
		return p.last(opened(k, e))
	case control.Expired:
		return p.last("too late")
	case control.AttemptFailed:
		_, reason, _ := strings.Cut(e.Text, fmt.Sprintf("after stage %d", e.Stage))
		return p.last("failed" + cli.Printable(reason))
	}
	return p, false
}

// then adds to the line.
func (p progress) then(text string) progress {
	if p.text == "" {
		return progress{text: text}
	}
	return progress{text: p.text + ": " + text, goesOn: true}
}

// last ends a line, if there is one.
func (p progress) last(text string) (progress, bool) {
	there := p.text != ""
	p = p.then(text)
	p.ended = true
	return p, there
}

// opened says what has opened.
func opened(k way, e *control.Event) string {
	text := "opened " + cli.Printable(e.What)
	if e.For != "" && e.For != k.address.String() {
		text += " for " + cli.Printable(e.For)
	}
	if e.Timeout > 0 {
		text += " (" + cli.Duration(time.Duration(e.Timeout)) + ")"
	}
	return text
}

// whole writes an event that is nobody's way: a line of its own, that is ended.
func (l *Lines) whole(e *control.Event) error {
	begin := ""
	if l.open {
		begin, l.open = "\n", false
	}
	for line := range strings.SplitSeq(e.Text, "\n") {
		begin += l.clock(e) + l.painted(e.Kind, cli.Printable(line)) + "\n"
	}
	return l.write(begin)
}

// clock returns the time at the beginning of a line.
func (l *Lines) clock(e *control.Event) string {
	return l.Style.Faint(e.At.Local().Format(time.TimeOnly)) + " "
}

// fitted returns a knocker's line as far as the screen has room for it: what
// goes on in the next one would not be taken back by \r. What was first is left
// out.
func (l *Lines) fitted(k way, host, text string) string {
	room := l.Columns - len(time.TimeOnly) - 2
	begin := who(k.address, host) + ": " + cli.Printable(k.door) + ": "
	if host != "" && room-utf8.RuneCountInString(begin) < leastRoom {
		begin = address(k.address) + ": " + cli.Printable(k.door) + ": "
	}
	left := max(room-utf8.RuneCountInString(begin), leastRoom)
	if runes := []rune(text); len(runes) > left {
		text = "..." + string(runes[len(runes)-left+len("..."):])
	}
	return begin + text
}

// leastRoom is how many characters of what a knocker does are shown at least.
const leastRoom = 24

// plain writes an event for a program or a file: a line as the log has it, with
// date and seconds.
func (l *Lines) plain(e *control.Event) error {
	text := ""
	for line := range strings.SplitSeq(e.Text, "\n") {
		text += l.Style.Faint(e.At.Local().Format(time.DateTime)) + " " + l.painted(e.Kind, cli.Printable(line)) + "\n"
	}
	return l.write(text)
}

// painted gives a line the colour of its kind.
func (l *Lines) painted(kind control.EventKind, text string) string {
	switch kind {
	case control.Admitted, control.MessageAccepted, control.Opened:
		return l.Style.Good(text)
	case control.AttemptFailed, control.Expired, control.Ignored, control.MessageRefused, control.LimitReached, control.Refused, control.InterfaceMissing:
		return l.Style.Odd(text)
	case control.OpeningFailed, control.CloseFailed, control.CaptureFailed, control.ReloadFailed, control.Warning:
		return l.Style.Bad(text)
	}
	return text
}

// Lost says that events did not come.
func (l *Lines) Lost(n int) error {
	begin := ""
	if l.open {
		begin, l.open = "\n", false
	}
	return l.write(begin + l.Style.Odd(fmt.Sprintf("%s left out: they came faster than they were read", cli.Counted(n, "event"))) + "\n")
}

// End ends the last line.
func (l *Lines) End() error {
	if !l.open {
		return nil
	}
	l.open = false
	return l.write("\n")
}

func (l *Lines) write(text string) error {
	_, err := io.WriteString(l.W, text)
	return err
}
