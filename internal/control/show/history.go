package show

import (
	"time"

	"knockd/internal/cli"
	"knockd/internal/control"
)

// History writes visits as a table, in the order that they have.
func (p *Page) History(visits []control.Visit) string {
	rows := [][]string{{"OPENED", "DOOR", "FOR", "WHAT", "BY", "STAYED"}}
	for i := range visits {
		rows = append(rows, p.visit(&visits[i]))
	}
	return p.table(rows, func(n int, line string) string {
		if lasts(&visits[n]) {
			return p.Style.Good(line)
		}
		return line
	})
}

// lasts reports whether the door is open still.
func lasts(v *control.Visit) bool { return v.Closed.IsZero() && v.Why == "" }

func (p *Page) visit(v *control.Visit) []string {
	whom := cli.Printable(v.For)
	if v.Address.String() != v.For {
		whom += " (" + address(v.Address) + ")"
	}
	if v.Host != "" {
		whom += " " + cli.Printable(v.Host)
	}
	what := cli.Printable(v.What)
	if what == "" {
		what = "command"
	}
	return []string{
		v.Opened.Local().Format(time.DateTime), cli.Printable(v.Door), whom, what,
		p.by(v.By, v.Client, v.UID), p.stayed(v),
	}
}

// stayed says for how long the door was open.
func (p *Page) stayed(v *control.Visit) string {
	why := cli.Printable(v.Why)
	switch {
	case lasts(v):
		return "open for " + cli.Duration(p.Now.Sub(v.Opened))
	case v.Closed.IsZero():
		return why
	}
	text := cli.Duration(v.Closed.Sub(v.Opened))
	if why != "" {
		text += ": " + why
	}
	return text
}
