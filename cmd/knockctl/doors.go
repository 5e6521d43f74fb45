package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/control"
	"knockd/internal/control/client"
)

const doorsUsage = "knockctl doors [OPTIONS]"

// doors lists the doors of a running knockd.
func doors(ctx context.Context, w *world, args []string) error {
	f := pflag.NewFlagSet("doors", pflag.ContinueOnError)
	asJSON := f.Bool("json", false, "print a JSON object a line for each door, as the manual describes it")
	color, socket := colorFlag(f), socketFlag(f)
	words, err := parse(w, f, doorsUsage, args)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return cli.Usagef(doorsUsage, "%q: one word too many", words[0])
	}
	page, err := w.page(*color, true)
	if err != nil {
		return cli.Usage(err, doorsUsage)
	}
	c, err := w.connect(ctx, *socket)
	if err != nil {
		return err
	}
	defer c.Close()
	var list []control.Door
	err = client.Each(ctx, c, control.MethodDoors, struct{}{}, func(r control.DoorsReply) error {
		list = append(list, r.Doors...)
		return nil
	})
	if err != nil {
		return err
	}
	if *asJSON {
		return printEach(w, list)
	}
	if len(list) == 0 {
		w.say("knockd has no doors", "")
		return nil
	}
	_, err = fmt.Fprint(w.stdout, page.Doors(list))
	return err
}

// printEach prints values for people's programs, a line each.
func printEach[T any](w *world, list []T) error {
	for i := range list {
		text, err := jsonLine(&list[i])
		if err == nil {
			_, err = fmt.Fprint(w.stdout, text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
