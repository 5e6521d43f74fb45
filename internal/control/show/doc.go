// Package show writes what a running knockd answers for people to read: how it
// is, who was let in, and what happens.
package show

import (
	"net/netip"
	"strings"
	"time"

	"knockd/internal/cli"
)

// Page is what is written on.
type Page struct {
	Style cli.Style
	Now   time.Time // when what is shown was asked for
	All   bool      // show every door and everybody, however many there are
	// User is the name of a user id; nil: nobody knows any.
	User func(uid uint32) string
}

// writer writes headings and, below them, names with values.
type writer struct {
	strings.Builder
	*Page
}

// heading begins a part: "interface: eth0".
func (w *writer) heading(what, name string) {
	if w.Len() > 0 {
		w.WriteByte('\n')
	}
	w.WriteString(w.Style.Heading(what) + ": " + w.Style.Bold(cli.Printable(name)) + "\n")
}

// field writes a name and its value; without a value nothing. Value may hold
// what Style has made: what is from elsewhere is to be Printable before.
func (w *writer) field(name, value string) {
	if value != "" {
		w.WriteString("  " + w.Style.Bold(name) + ": " + value + "\n")
	}
}

// line writes a line below a field.
func (w *writer) line(text string) { w.WriteString("    " + text + "\n") }

// ago says how long ago something was.
func (p *Page) ago(at time.Time) string {
	if p.Now.Sub(at) < time.Second {
		return "now"
	}
	return cli.Duration(p.Now.Sub(at)) + " ago"
}

// joined writes a list with commas.
func joined[T any](list []T, text func(T) string) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = text(v)
	}
	return strings.Join(texts, ", ")
}

// address names an address, whose zone can be any text.
func address(a netip.Addr) string { return cli.Printable(a.String()) }

// who names an address and, if it is known, its host.
func who(a netip.Addr, host string) string {
	if host == "" {
		return address(a)
	}
	return address(a) + " (" + cli.Printable(host) + ")"
}
