package main

import (
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/control/show"
)

// screen is the terminal that standard output is; without columns it is none.
type screen struct{ columns, rows int }

// look returns the screen as it is now.
func (w *world) look() screen {
	if w.screen != nil {
		return w.screen()
	}
	columns, rows, ok := cli.Screen(w.stdout)
	if !ok {
		return screen{}
	}
	return screen{columns, rows}
}

// colorFlag adds --color, of each command that writes for people.
func colorFlag(f *pflag.FlagSet) *string {
	return f.String("color", "auto", "colours, `WHEN`: "+cli.ColorWhen)
}

// style is that of standard output.
func (w *world) style(when string) (cli.Style, error) {
	noColor := ""
	if w.getenv != nil {
		noColor = w.getenv("NO_COLOR")
	}
	return cli.ParseStyle(when, w.look().columns > 0, noColor)
}

// page returns what to write on for people.
func (w *world) page(color string, all bool) (*show.Page, error) {
	style, err := w.style(color)
	return &show.Page{Style: style, Now: w.time(), All: all, User: w.user}, err
}

// userName returns the name of a user, or "uid 1000" if there is none.
func userName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return "uid " + number
}

func (w *world) time() time.Time {
	if w.now != nil {
		return w.now()
	}
	return time.Now()
}
