package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/event"
	"knockd/internal/eventlog"
	"knockd/internal/kernellog"
	"knockd/internal/knock"
	"knockd/internal/ruleset"
	"knockd/internal/statefile"
)

const kernelLogUsage = "knockctl kernel-log [OPTIONS]"

// kernelLog writes what compiled rulesets log until it is stopped.
func kernelLog(ctx context.Context, w *world, args []string) error {
	f := pflag.NewFlagSet("kernel-log", pflag.ContinueOnError)
	group := f.Uint16("group", ruleset.DefaultGroup, "the NFLOG `group` to listen to")
	file := f.StringP("logfile", "g", "", "append to this `file`, in place of standard output; opened again on SIGHUP")
	words, err := parse(w, f, kernelLogUsage, args)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return cli.Usagef(kernelLogUsage, "%q: one word too many", words[0])
	}
	out := &lines{sink: eventlog.Stamped{W: w.stdout}, path: *file, warn: w.speaker().Warn}
	if err := out.reopen(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out.fail = cancel
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	go out.follow(ctx, hangup)
	ready := func() { w.say(fmt.Sprintf("listening to NFLOG group %d", *group), "") }
	lost := func() { w.say("the kernel lost log lines: they came too fast", "") }
	err = kernellog.Listen(ctx, *group, ready, out.entry, lost)
	if errors.Is(err, kernellog.ErrGroupTaken) {
		return cli.WithHint(err, "stop the other program, or choose another --group for both export and kernel-log")
	}
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// lines writes entries in knockd's words.
type lines struct {
	mu   sync.Mutex
	sink eventlog.Sink
	path string // of the log file, if there is one
	open *eventlog.File
	fail func(error)

	warn func(text, hint string)
}

// entry writes one line; what is not of our rulesets is not for us.
func (l *lines) entry(e kernellog.Entry) {
	name, stage, ok := ruleset.ParseLogPrefix(e.Prefix)
	if !ok {
		return
	}
	door, knocker := knock.DoorID{Name: name}, event.Knocker{Addr: e.Src}
	entry := event.Event(event.Admitted{Door: door, Knocker: knocker})
	if stage > 0 {
		entry = event.Stage{Door: door, Knocker: knocker, Stage: stage}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.sink.Write(eventlog.NewRecord(e.Time, entry))
	if err != nil && !errors.Is(err, statefile.ErrFull) && !errors.Is(err, statefile.ErrNotRead) {
		l.fail(fmt.Errorf("write the log: %w", err))
	}
}

// reopen opens the log file, if there is one, in place of the old one.
func (l *lines) reopen() error {
	if l.path == "" {
		return nil
	}
	f, err := eventlog.OpenFile(l.path)
	if err != nil {
		return err
	}
	if doubt := f.Doubt(); doubt != nil {
		l.warn(fmt.Sprintf("log file %v", doubt), "")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open != nil {
		l.open.Close()
	}
	l.open, l.sink = f, f
	return nil
}

// follow opens the log file again at each hangup.
func (l *lines) follow(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			if err := l.reopen(); err != nil {
				l.fail(err)
			}
		}
	}
}
