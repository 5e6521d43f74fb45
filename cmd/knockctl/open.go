package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/client"
	"knockd/internal/control"
	ask "knockd/internal/control/client"
)

const openUsage = "knockctl open [OPTIONS] DOOR ADDRESS"

// open opens a door by hand.
func open(ctx context.Context, w *world, args []string) error {
	f := pflag.NewFlagSet("open", pflag.ContinueOnError)
	asJSON := f.Bool("json", false, "print a JSON object a line for each opening, as the manual describes it")
	stays := f.String("for", "", "how long, a `TIME`: 1h, 90; the door's own time if it is not given")
	ports := f.StringSlice("port", nil, "a `PORT` that a knock or a message would name: tcp/22")
	force := f.Bool("force", false, "against the door's allow and deny, for a network, or for more than a day")
	color, socket := colorFlag(f), socketFlag(f)
	words, err := parse(w, f, openUsage, args)
	if err != nil {
		return err
	}
	page, err := w.page(*color, true)
	a := control.OpenArgs{Ports: *ports, Force: *force}
	if err == nil {
		err = openArgs(&a, words, *stays)
	}
	if err != nil {
		return cli.Usage(err, openUsage)
	}
	c, err := w.connect(ctx, *socket)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := ask.Call[control.OpenReply](ctx, c, control.MethodOpen, a)
	if refused := (*control.NotForced)(nil); errors.As(err, &refused) {
		return cli.WithHint(err, "knockctl open --force does it all the same")
	}
	if err != nil {
		return doorless(err)
	}
	if *asJSON {
		err = printEach(w, r.Openings)
	} else {
		_, err = fmt.Fprint(w.stdout, page.Opened(r.Openings))
	}
	if err == nil && slices.ContainsFunc(r.Openings, func(o control.Opening) bool { return o.Fault != "" || o.State != control.StateOpen }) {
		err = errors.New("not all of it went well: knockd's log says more")
	}
	return err
}

// openArgs reads which door is opened for whom, and for how long.
func openArgs(a *control.OpenArgs, words []string, stays string) error {
	switch {
	case len(words) < 2:
		return errors.New("which door, and for which address?")
	case len(words) > 2:
		return fmt.Errorf("%q: one word too many", words[2])
	}
	a.Door, a.Address = words[0], words[1]
	if _, err := netip.ParseAddr(a.Address); err != nil {
		if n, err := netip.ParsePrefix(a.Address); err != nil || n != n.Masked() {
			return fmt.Errorf("address %s: must be an IP address, or a network as 192.0.2.0/24", a.Address)
		}
	}
	if stays == "" {
		return nil
	}
	d, err := client.ParseOffset(stays)
	if err != nil || d < time.Second {
		return fmt.Errorf("--for %s: must be seconds or a time such as 1h30m, a second at least", stays)
	}
	seconds := control.Seconds(d)
	a.Seconds = &seconds
	return nil
}

// doorless adds where to find the doors' names, if that helps.
func doorless(err error) error {
	if none := (*control.NoSuchDoor)(nil); errors.As(err, &none) {
		return cli.WithHint(err, "knockctl doors lists them")
	}
	return err
}
