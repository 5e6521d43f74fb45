package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/control"
	"knockd/internal/control/client"
)

const closeUsage = "knockctl close [OPTIONS] DOOR|--all [ADDRESS]"

// closeDoors closes doors by hand.
func closeDoors(ctx context.Context, w *world, args []string) error {
	f := pflag.NewFlagSet("close", pflag.ContinueOnError)
	var a control.CloseArgs
	f.BoolVar(&a.All, "all", false, "all doors")
	asJSON := f.Bool("json", false, "print a JSON object, as the manual describes it")
	socket := socketFlag(f)
	words, err := parse(w, f, closeUsage, args)
	if err != nil {
		return err
	}
	if err := closeArgs(&a, words); err != nil {
		return cli.Usage(err, closeUsage)
	}
	c, err := w.connect(ctx, *socket)
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := client.Call[control.CloseReply](ctx, c, control.MethodClose, a)
	if err != nil {
		return doorless(err)
	}
	if *asJSON {
		text, err := jsonLine(r)
		if err == nil {
			_, err = fmt.Fprint(w.stdout, text)
		}
		return err
	}
	switch {
	case r.Closed > 0:
		fmt.Fprintf(w.stdout, "closed: %s\n", cli.Counted(r.Closed, "opening"))
	case r.Left == 0:
		w.say("nothing was open", "")
	}
	if r.Left > 0 {
		return cli.WithHint(fmt.Errorf("not closed yet: %s", cli.Counted(r.Left, "opening")), "knockd tries again; knockctl status says why, and the log")
	}
	return nil
}

// closeArgs reads what is closed for whom.
func closeArgs(a *control.CloseArgs, words []string) (err error) {
	if !a.All {
		if len(words) == 0 {
			return errors.New("which door, or --all?")
		}
		a.Door, words = words[0], words[1:]
	}
	switch len(words) {
	case 0:
		return nil
	case 1:
		a.Address, err = parseAddress("address", words[0])
		return err
	}
	return fmt.Errorf("%q: one word too many", words[1])
}
