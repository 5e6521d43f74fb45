package show

import (
	"strconv"
	"strings"
	"time"

	"knockd/internal/cli"
	"knockd/internal/control"
)

// Doors writes doors as a table.
func (p *Page) Doors(doors []control.Door) string {
	rows := [][]string{{"DOOR", "KIND", "OPENS", "OPEN", "TOTAL", "LAST"}}
	for i := range doors {
		d := &doors[i]
		kind := strings.ReplaceAll(cli.Printable(d.Kind), "_", "-")
		if d.Disabled {
			kind += ", disabled"
		}
		last := "never"
		if !d.Last.IsZero() {
			last = p.ago(d.Last)
		}
		rows = append(rows, []string{
			cli.Printable(d.Door), kind, opens(d), strconv.Itoa(d.Openings.Current), strconv.FormatUint(d.Openings.Total, 10), last,
		})
	}
	return p.table(rows, func(n int, line string) string {
		switch d := &doors[n]; {
		case d.Disabled:
			return p.Style.Odd(line)
		case d.Openings.Current > 0:
			return p.Style.Good(line)
		}
		return line
	})
}

// Opened says what became of doors that were opened by hand, a line each.
func (p *Page) Opened(list []control.Opening) string {
	var b strings.Builder
	for i := range list {
		o := &list[i]
		text := p.Style.Bold(cli.Printable(o.Door)) + ": "
		switch o.State {
		case control.StateOpen:
			text += p.Style.Good("open") + " for " + cli.Printable(o.For)
		case control.StateOpening:
			text += "about to open for " + cli.Printable(o.For)
		default:
			text += p.Style.Bad("not open") + " for " + cli.Printable(o.For)
		}
		if o.What != "" {
			text += ", " + cli.Printable(o.What)
		}
		switch {
		case o.Left != nil:
			text += ", closes in " + cli.Duration(time.Duration(*o.Left))
		case o.State == control.StateOpen:
			text += ", and nothing of knockd's closes it"
		}
		if o.Fault != "" {
			text += ": " + p.Style.Odd(cli.Printable(o.Fault))
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}
