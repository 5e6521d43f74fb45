package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/control"
	"knockd/internal/control/client"
	"knockd/internal/control/show"
)

const statusUsage = "knockctl status [OPTIONS]"

// redraw is the pause between two looks with --watch.
const redraw = time.Second

// status says how knockd is and who is in.
func status(ctx context.Context, w *world, args []string) error {
	f := pflag.NewFlagSet("status", pflag.ContinueOnError)
	asJSON := f.Bool("json", false, "print a JSON object, as the manual describes it")
	all := f.Bool("all", false, "show every door and everybody, however many there are")
	again := f.BoolP("watch", "w", false, "look again every second, until Ctrl-C")
	color, socket := colorFlag(f), socketFlag(f)
	words, err := parse(w, f, statusUsage, args)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return cli.Usagef(statusUsage, "%q: one word too many", words[0])
	}
	if _, err := w.style(*color); err != nil {
		return cli.Usage(err, statusUsage)
	}
	c, err := w.connect(ctx, *socket)
	if err != nil {
		return err
	}
	defer c.Close()
	look := func() (string, error) {
		o, err := overview(ctx, c, *all || *asJSON)
		if err != nil {
			return "", err
		}
		if *asJSON {
			return jsonLine(o)
		}
		p, err := w.page(*color, *all)
		return p.Status(o), err
	}
	if *again {
		return w.redraw(ctx, look)
	}
	text, err := look()
	fmt.Fprint(w.stdout, text)
	return err
}

// overview asks for all that there is to show, or for as much of it as fits into
// a reply.
func overview(ctx context.Context, c *client.Client, all bool) (o *show.Overview, err error) {
	o = &show.Overview{Doors: []control.Door{}, Openings: []control.Opening{}}
	if o.Status, err = client.Call[control.StatusReply](ctx, c, control.MethodStatus, struct{}{}); err != nil {
		return nil, err
	}
	err = client.Each(ctx, c, control.MethodDoors, struct{}{}, func(r control.DoorsReply) error {
		o.Doors = append(o.Doors, r.Doors...)
		return nil
	})
	if err == nil {
		err = openings(ctx, c, o, all)
	}
	if err == nil && o.Status.Rank == control.Admin {
		err = pages(ctx, c, control.MethodAttempts, control.Selection{}, all, func(r control.AttemptsReply) { o.Attempts = append(o.Attempts, r.Attempts...) })
	}
	return o, err
}

// hiddenDoors is how many doors are asked for by name at most because others fill
// the first page.
const hiddenDoors = 15

// openings asks for who is in. The first page may be full of those at one door.
func openings(ctx context.Context, c *client.Client, o *show.Overview, all bool) error {
	take := func(r control.OpeningsReply) { o.Openings = append(o.Openings, r.Openings...) }
	if err := pages(ctx, c, control.MethodOpenings, control.Selection{}, all, take); err != nil || all {
		return err
	}
	seen := map[string]bool{}
	for _, in := range o.Openings {
		seen[in.Door] = true
	}
	for i, asked := 0, 0; i < len(o.Doors) && asked < hiddenDoors; i++ {
		d := &o.Doors[i]
		if d.Openings.Current == 0 || seen[d.Door] {
			continue
		}
		asked++
		err := pages(ctx, c, control.MethodOpenings, control.Selection{Door: d.Door}, false, take)
		if err != nil && !errors.As(err, new(*control.NoSuchDoor)) { // it may have gone since
			return err
		}
	}
	return nil
}

// pages asks for a list, or for its first page.
func pages[R any](ctx context.Context, c *client.Client, method string, which control.Selection, all bool, take func(R)) error {
	if all {
		return client.Each(ctx, c, method, which, func(r R) error { take(r); return nil })
	}
	r, err := client.Call[R](ctx, c, method, which)
	take(r)
	return err
}

// jsonLine returns a value as one line of JSON for people's programs.
func jsonLine(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.String(), err
}

// Sequences of ECMA-48 and xterm.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	goHome     = "\x1b[H"
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
)

// redraw shows a text again and again, on a terminal in its place.
func (w *world) redraw(ctx context.Context, look func() (string, error)) error {
	if w.look().columns > 0 {
		fmt.Fprint(w.stdout, hideCursor+goHome+clearBelow)
		defer fmt.Fprint(w.stdout, showCursor)
	}
	for first := true; ; first = false {
		text, err := look()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if s := w.look(); s.columns > 0 {
			text = goHome + fitted(text, s) + clearBelow
		} else if !first {
			text = "\n" + text
		}
		if _, err := fmt.Fprint(w.stdout, text); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(redraw):
		}
	}
}

// fitted returns as much of a text as fits on a screen.
func fitted(text string, s screen) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) >= s.rows {
		lines = append(lines[:max(s.rows-2, 0)], "...\n")
	}
	for i, line := range lines {
		lines[i] = strings.ReplaceAll(cut(line, s.columns), "\n", clearLine+"\n")
	}
	return strings.Join(lines, "")
}

// cut cuts a line at the end of the screen, but no escape sequence in it.
func cut(line string, columns int) string {
	n, escape := 0, false
	var b strings.Builder
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case r != '\n':
			if n++; n > columns {
				continue
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}
