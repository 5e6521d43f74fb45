package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
)

// longOptions are those of knock 0.8. It takes any unambiguous beginning of
// them, as getopt_long(3) does.
var longOptions = []string{"udp", "delay", "ipv4", "ipv6", "verbose", "version", "help"}

// abbreviations completes the beginning of an option.
func abbreviations(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	full := ""
	for _, long := range longOptions {
		if name != "" && strings.HasPrefix(long, name) {
			if full != "" || long == name {
				return pflag.NormalizedName(name)
			}
			full = long
		}
	}
	if full == "" {
		full = name
	}
	return pflag.NormalizedName(full)
}

// badOption reports an error of the option parser: a value that is none in
// this program's words, all else as knock 0.8 does, with the usage of the form;
// for an option that is not known that is the whole one.
func (s system) badOption(err error, usage string) int {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) && invalid.GetFlag().NoOptDefVal == "" {
		err = fmt.Errorf("--%s %s: %w", invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap())
		return s.exit(cli.Usage(err, ""))
	}
	s.speaker().Say(optionError(err), "")
	s.print(usage)
	if usage == usageText && errors.As(err, new(*pflag.NotExistError)) {
		s.print(helpText)
	}
	return exitUsage
}

// optionError words an error of the option parser as knock 0.8 words it.
func optionError(err error) string {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return fmt.Sprintf("invalid option -- '%s'", unknown.GetSpecifiedName())
	case errors.As(err, &unknown):
		return fmt.Sprintf("unrecognized option '--%s'", unknown.GetSpecifiedName())
	case errors.As(err, &missing) && missing.GetSpecifiedShortnames() != "":
		return fmt.Sprintf("option requires an argument -- '%s'", missing.GetSpecifiedName())
	case errors.As(err, &missing):
		return fmt.Sprintf("option '--%s' requires an argument", missing.GetSpecifiedName())
	case errors.As(err, &invalid):
		return fmt.Sprintf("option '--%s' doesn't allow an argument", invalid.GetFlag().Name)
	}
	return err.Error()
}
