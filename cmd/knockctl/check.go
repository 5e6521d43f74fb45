package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"knockd/internal/action"
	"knockd/internal/check"
	"knockd/internal/cli"
	"knockd/internal/config"
)

const checkUsage = "knockctl check [OPTIONS]"

// Errors of which everything has been said on standard output.
var (
	errFaulty  = errors.New("the configuration has faults")
	errAdvised = errors.New("there is advice")
)

// checkHost says what is wrong with a configuration on this host, and what would
// be safer.
func checkHost(_ context.Context, w *world, args []string) error {
	f := pflag.NewFlagSet("check", pflag.ContinueOnError)
	file := f.StringP("config", "c", "/etc/knockd.conf", "the configuration, with its drop-ins in `FILE`.d")
	interfaces := f.StringP("interface", "i", "", "what the daemon listens on, in place of the configuration's, as its own `NAMES` behind -i")
	strict := f.Bool("strict", false, "exit with status 3 if there is a warning or advice")
	words, err := parse(w, f, checkUsage, args)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return cli.Usagef(checkUsage, "%q: one word too many", words[0])
	}
	signal.Reset(os.Interrupt, syscall.SIGTERM) // whatever file it waits for
	s := check.Setup{Actions: action.Stopped(), AsRoot: true}
	if *interfaces != "" {
		if s.Interfaces, err = config.ParseInterfaces(*interfaces); err != nil {
			return cli.Usagef("", "--interface: %w", err)
		}
	}
	warnings, faulty, err := findFaults(w.stdout, &s, *file)
	if err != nil {
		return err
	}
	if faulty {
		return errFaulty
	}
	report, err := s.Host()
	report.Sort()
	for _, f := range report.Findings {
		fmt.Fprintf(w.stdout, "%v: %s\n", f.Level, f.Text)
	}
	if err != nil {
		if printFaults(w.stdout, *file, err) {
			return errFaulty
		}
		return err
	}
	warnings += report.Count(check.Warning)
	advice := report.Count(check.Advice)
	fmt.Fprintf(w.stdout, "%s: %s\n", *file, summary(len(s.Conf.Doors), warnings, advice, report.Nothing))
	if *strict && warnings+advice > 0 {
		return errAdvised
	}
	return nil
}

// findFaults reads the configuration and prints its faults, or how many warnings
// it has of its own.
func findFaults(out io.Writer, s *check.Setup, file string) (warnings int, faulty bool, err error) {
	dir, err := os.Getwd()
	if err != nil {
		return 0, false, err
	}
	s.ConfigFile, err = filepath.Abs(file)
	if err != nil {
		return 0, false, err
	}
	s.Conf, err = config.LoadWith(file, config.Extras{Advice: true, AsRoot: true})
	if err != nil {
		if printFaults(out, file, err) {
			return 0, true, nil
		}
		hint := "name another configuration with -c"
		if errors.Is(err, os.ErrPermission) {
			hint = "run as root, whom the file is for"
		}
		return 0, false, cli.WithHint(err, hint)
	}
	s.Conf.Absolute(dir)
	for _, text := range s.Conf.Warnings {
		fmt.Fprintf(out, "%v: %s\n", check.Warning, text)
	}
	return len(s.Conf.Warnings), false, nil
}

// printFaults prints the faults of a configuration or of the files that it names,
// a line each, as editors read them, and how many there are. It reports false if
// the error is another one.
func printFaults(out io.Writer, file string, err error) bool {
	if !errors.As(err, new(*config.FaultError)) && !errors.As(err, new(*config.Fault)) {
		return false
	}
	text := strings.TrimRight(err.Error(), "\n")
	fmt.Fprintf(out, "%s\n%s: %s\n", text, file, cli.Counted(strings.Count(text, "\n")+1, "fault"))
	return true
}

// summary returns the last line: as that of knockd -t, and how much advice
// there is.
func summary(doors, warnings, advice int, nothing string) string {
	text := cli.Counted(doors, "door")
	switch {
	case warnings == 0 && advice == 0:
		text += ", nothing to say"
	case warnings > 0:
		text += ", " + cli.Counted(warnings, "warning")
	}
	if advice > 0 {
		text += ", " + cli.Counted(advice, "piece") + " of advice"
	}
	if nothing != "" {
		text += ": " + nothing
	}
	return text
}
