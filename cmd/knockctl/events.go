package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/event"
	"knockd/internal/eventlog"
)

const eventsUsage = "knockctl events [OPTIONS]"

// eventKind is a kind of event as events --json lists it.
type eventKind struct {
	Event     string   `json:"event"`
	MessageID string   `json:"message_id"`
	Doc       string   `json:"description"`
	Fields    []string `json:"fields"`
}

// events lists what knockd can tell programs.
func events(_ context.Context, w *world, args []string) error {
	f := pflag.NewFlagSet("events", pflag.ContinueOnError)
	asJSON := f.Bool("json", false, "an object a line, with the message id of systemd's journal")
	words, err := parse(w, f, eventsUsage, args)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return cli.Usagef(eventsUsage, "%q: one word too many", words[0])
	}
	event.Kinds(func(keyword, doc string, fields []string) {
		if !*asJSON {
			fmt.Fprintf(w.stdout, "%-20s %s\n%-20s   %s\n", keyword, doc, "", strings.Join(fields, " "))
			return
		}
		if fields == nil {
			fields = []string{}
		}
		line, e := json.Marshal(eventKind{keyword, eventlog.MessageID(keyword), doc, fields})
		if e != nil {
			panic(e) // nothing in it can fail
		}
		fmt.Fprintf(w.stdout, "%s\n", line)
	})
	return nil
}
