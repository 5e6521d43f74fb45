package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/config"
	"knockd/internal/control"
	"knockd/internal/control/client"
)

const reloadUsage = "knockctl reload [OPTIONS]"

// reload has a running knockd read its configuration again, and waits for that.
func reload(ctx context.Context, w *world, args []string) error {
	f := pflag.NewFlagSet("reload", pflag.ContinueOnError)
	asJSON := f.Bool("json", false, "print a JSON object, as the manual describes it")
	pid := f.Int("pid", 0, "the knockd of this process `ID`: if the socket is not its own, it gets SIGHUP")
	tried := f.String("trial", "", "put it on trial for this `TIME`, as 5m: see trial")
	socket := socketFlag(f)
	words, err := parse(w, f, reloadUsage, args)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return cli.Usagef(reloadUsage, "%q: one word too many", words[0])
	}
	if f.Changed("pid") && *pid < 1 {
		return cli.Usagef(reloadUsage, "--pid %d: must be that of a process", *pid)
	}
	if *tried != "" {
		return w.reloadOnTrial(ctx, *tried, *socket, *asJSON || f.Changed("pid"))
	}
	c, err := w.connect(ctx, *socket)
	if err == nil {
		defer c.Close()
	}
	if *pid > 0 && (err != nil || c.PID() != *pid) {
		return w.hangUp(*pid)
	}
	if err != nil {
		return err
	}
	r, err := client.Call[control.ReloadReply](ctx, c, control.MethodReload, struct{}{})
	if err != nil {
		return unreloaded(err)
	}
	if *asJSON {
		text, err := jsonLine(r)
		if err == nil {
			_, err = fmt.Fprint(w.stdout, text)
		}
		return err
	}
	for _, warning := range r.Warnings {
		w.speaker().Warn(cli.Printable(warning), "")
	}
	_, err = fmt.Fprintf(w.stdout, "configuration taken: %s\n", cli.Counted(r.Doors, "door"))
	return err
}

// hangUp asks for a reload of which nobody hears the outcome.
func (w *world) hangUp(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return cli.WithHint(fmt.Errorf("send SIGHUP to process %d: %w", pid, err), "it takes a knockd that runs, and its user or root")
	}
	w.say(fmt.Sprintf("process %d has no control socket here: it got SIGHUP, and its log says what comes of it", pid), "")
	return nil
}

// unreloaded says why the configuration is not used, and what helps.
func unreloaded(err error) error {
	refused := (*control.ReloadRefused)(nil)
	switch {
	case !errors.As(err, &refused):
		return err
	case len(refused.Restart) > 0:
		return cli.WithHint(errors.New("configuration not changed: "+refused.Error()), "systemctl restart knockd, which closes what is open unless OnStop = keep")
	}
	return fmt.Errorf("%w\nconfiguration not changed", refused)
}

// reloadOnTrial is reload with a trial.
func (w *world) reloadOnTrial(ctx context.Context, text, socket string, alone bool) error {
	length, err := parseTrial(text)
	if err != nil {
		return cli.Usage(err, reloadUsage)
	}
	if alone {
		return cli.Usagef(reloadUsage, "--trial goes neither with --json nor with --pid")
	}
	c, err := w.connect(ctx, socket)
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := client.Call[control.StatusReply](ctx, c, control.MethodStatus, struct{}{})
	if err != nil {
		return err
	}
	if conf, err := config.Load(s.Config); err == nil { // else knockd says why not
		w.sayBefore(conf)
	}
	return w.tryOn(ctx, c, s.Config, socket, length)
}
