package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/control"
	"knockd/internal/control/client"
)

const historyUsage = "knockctl history [OPTIONS] [ADDRESS]"

// history says who was let in.
func history(ctx context.Context, w *world, args []string) error {
	f := pflag.NewFlagSet("history", pflag.ContinueOnError)
	asJSON := f.Bool("json", false, "print a JSON object a line for each visit, as the manual describes it")
	since := f.String("since", "", "back to this `TIME`: 2h, 7d, \"2026-11-28 09:30\"")
	var a control.HistoryArgs
	f.StringVar(&a.Door, "door", "", "at this `DOOR` alone")
	color, socket := colorFlag(f), socketFlag(f)
	words, err := parse(w, f, historyUsage, args)
	if err != nil {
		return err
	}
	if len(words) > 1 {
		return cli.Usagef(historyUsage, "%q: one word too many", words[1])
	}
	page, err := w.page(*color, true)
	if err == nil && *since != "" {
		a.Since, err = parseSince(*since, page.Now)
	}
	if err == nil && len(words) == 1 {
		a.Address, err = parseAddress("address", words[0])
	}
	if err != nil {
		return cli.Usage(err, historyUsage)
	}
	c, err := w.connect(ctx, *socket)
	if err != nil {
		return err
	}
	defer c.Close()
	var visits []control.Visit
	err = client.Each(ctx, c, control.MethodHistory, a, func(r control.HistoryReply) error {
		if !*asJSON {
			visits = append(visits, r.Visits...)
			return nil
		}
		for i := range r.Visits {
			text, err := jsonLine(&r.Visits[i])
			if err == nil {
				_, err = fmt.Fprint(w.stdout, text)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil || *asJSON:
		return err
	case len(visits) == 0:
		w.say("nobody was let in", "")
		return nil
	}
	_, err = fmt.Fprint(w.stdout, page.History(visits))
	return err
}

// parseSince reads a time of the past: how long ago, or when.
func parseSince(text string, now time.Time) (time.Time, error) {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		number, found := strings.CutSuffix(text, suffix)
		if n, err := strconv.ParseUint(number, 10, 16); found && err == nil {
			return now.Add(-time.Duration(n) * unit), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", time.DateTime, time.RFC3339} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since %s: must be a time ago such as 2h or 7d, or a date such as \"2026-11-28 09:30\"", text)
}
