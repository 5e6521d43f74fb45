package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/control"
	"knockd/internal/control/client"
	"knockd/internal/control/show"
)

const watchUsage = "knockctl watch [OPTIONS]"

// watch shows events as they happen.
func watch(ctx context.Context, w *world, args []string) error {
	f := pflag.NewFlagSet("watch", pflag.ContinueOnError)
	asJSON := f.Bool("json", false, "print a JSON object a line for each event, as the manual describes it")
	var s control.Selection
	f.StringVar(&s.Door, "door", "", "what happens at this `DOOR` alone")
	address := f.String("address", "", "what is about this `ADDRESS` alone")
	color, socket := colorFlag(f), socketFlag(f)
	words, err := parse(w, f, watchUsage, args)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return cli.Usagef(watchUsage, "%q: one word too many", words[0])
	}
	style, err := w.style(*color)
	if err == nil && *address != "" {
		s.Address, err = parseAddress("--address", *address)
	}
	if err != nil {
		return cli.Usage(err, watchUsage)
	}
	c, err := w.connect(ctx, *socket)
	if err != nil {
		return err
	}
	defer c.Close()
	lines := &show.Lines{W: w.stdout, Style: style, Columns: w.look().columns}
	take := func(r control.WatchReply) error { return showAll(lines, r) }
	if *asJSON {
		take = func(r control.WatchReply) error { return w.printAll(r) }
	}
	err = client.Each(ctx, c, control.MethodWatch, s, take)
	if ended := lines.End(); err == nil {
		err = ended
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// showAll writes events for people.
func showAll(lines *show.Lines, r control.WatchReply) error {
	for i := range r.Events {
		if err := lines.Event(&r.Events[i]); err != nil {
			return err
		}
	}
	if r.Lost > 0 {
		return lines.Lost(r.Lost)
	}
	return nil
}

// printAll writes events for programs.
func (w *world) printAll(r control.WatchReply) error {
	var values []any
	for i := range r.Events {
		values = append(values, &r.Events[i])
	}
	if r.Lost > 0 {
		values = append(values, struct {
			Lost int `json:"lost"`
		}{r.Lost})
	}
	for _, v := range values {
		text, err := jsonLine(v)
		if err == nil {
			_, err = fmt.Fprint(w.stdout, text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseAddress reads an address of the command line.
func parseAddress(what, text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return a, fmt.Errorf("%s %s: must be an IP address", what, text)
	}
	return a.Unmap().WithZone(""), nil
}
