// Command knockctl is for the person at the keyboard: it asks a running knockd
// what it does and who was let in, checks a configuration on this host, compiles
// doors into firewall rulesets that need no daemon, and shows what these log.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/ruleset"
	"knockd/internal/spa"
)

// Exit statuses.
const (
	exitOK    = 0
	exitFault = 1
	exitUsage = 2
	exitNone  = 3 // import: nothing can be carried over; check --strict: there is advice
)

// world is what a run has of the world around it.
type world struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	run            ruleset.Runner
	getenv         func(string) string
	user           func(uid uint32) string // the name of one; may be nil

	// For tests; nil or empty: those of this machine.
	config  string
	running func() []int
	screen  func() screen
	now     func() time.Time
	proc    string // in place of /proc
	pid     int    // in place of this process
}

// command is one word that knockctl knows.
type command struct {
	name, summary string
	do            func(ctx context.Context, w *world, args []string) error
}

// commands returns them in the order that the usage shows.
func commands() []command {
	return []command{
		{"status", "say how knockd is, and who is in", status},
		{"watch", "show what happens while it happens", watch},
		{"history", "say who was let in, when, for how long and by what", history},
		{"check", "look for what is wrong with a configuration on this host", checkHost},
		{"doors", "list the doors of a running knockd", doors},
		{"open", "open a door for an address", open},
		{"close", "close a door, or all, before the time", closeDoors},
		{"reload", "have knockd read its configuration, and say what comes of it", reload},
		{"explain", "say why a knock has opened a door or has not", explainKnocks},
		{"export", "compile doors into a ruleset for " + backends(" or "), export},
		{"events", "list the kinds of events that programs are told", events},
		{"import", "turn the configuration of fwknopd into doors", importDoors},
		{"init", "set up a door for this host", initHost},
		{"trial", "put a configuration on trial, which ends unless it is confirmed", tryOut},
		{"confirm", "have what is on trial stay", confirm},
		{"kernel-log", "write what such a ruleset logs as knockd's log lines", kernelLog},
	}
}

func main() {
	spa.LeaveNoCore()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], &world{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, run: execute, getenv: os.Getenv, user: userName})
	stop()
	os.Exit(code)
}

// run is the whole program: it returns the exit status.
func run(ctx context.Context, args []string, w *world) int {
	err := dispatch(ctx, args, w)
	if err == nil {
		return exitOK
	}
	switch {
	case errors.Is(err, errFaulty):
		return exitFault
	case errors.Is(err, errAdvised):
		return exitNone
	}
	w.report(err)
	switch {
	case cli.IsUsage(err):
		return exitUsage
	case errors.Is(err, errNothing):
		return exitNone
	}
	return exitFault
}

// report says what is wrong, a line each, and what to try.
func (w *world) report(err error) {
	hint := cli.HintOf(err)
	if hint == "" && !cli.IsUsage(err) && (errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EPERM)) {
		hint = "run as root or grant CAP_NET_ADMIN"
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	for i, line := range lines {
		lines[i] = cli.Printable(line) // it may be a daemon's, or what stands in a file
	}
	w.say(strings.Join(lines, "\nknockctl: "), hint)
}

func (w *world) speaker() cli.Speaker { return cli.Speaker{Command: "knockctl", W: w.stderr} }

// say prints a line on standard error, and a hint if there is one.
func (w *world) say(text, hint string) { w.speaker().Say(text, hint) }

func dispatch(ctx context.Context, args []string, w *world) error {
	if len(args) == 0 {
		return cli.Usagef("knockctl --help lists them", "no command")
	}
	switch args[0] {
	case "-h", "--help", "help":
		fmt.Fprint(w.stdout, usageText())
		return nil
	case "-V", "--version":
		cli.PrintVersion(w.stdout, "knockctl")
		return nil
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		return cli.Usagef("knockctl --help lists them", "unknown command %q", args[0])
	}
	err := all[i].do(ctx, w, args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	return err
}

func usageText() string {
	var b strings.Builder
	b.WriteString("usage: knockctl COMMAND [OPTIONS]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-12s %s\n", c.name, c.summary)
	}
	b.WriteString("\nknockctl COMMAND --help shows its options.\n")
	return b.String()
}

// parse reads a command's options and returns the other words.
func parse(w *world, f *pflag.FlagSet, usage string, args []string) ([]string, error) {
	f.SortFlags = false
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	help := f.BoolP("help", "h", false, "show this")
	if err := f.Parse(args); err != nil {
		return nil, cli.Usage(err, usage)
	}
	if *help {
		// pflag would advertise --help[=true|false], which nobody writes.
		flags := strings.ReplaceAll(f.FlagUsages(), "[=true|false]", "             ")
		fmt.Fprintf(w.stdout, "usage: %s\n\n%s", usage, flags)
		return nil, pflag.ErrHelp
	}
	return f.Args(), nil
}
