package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"knockd/internal/client"
	"knockd/internal/knock"
)

// options is what the command line says.
type options struct {
	udp, ipv4, ipv6        bool
	verbose, version, help bool
	delay                  time.Duration
	flags                  knock.Flags
	route                  client.Route
}

// register gives a flag set the options of plain knocking.
func (o *options) register(fs *pflag.FlagSet) {
	fs.SetOutput(io.Discard)
	fs.SetNormalizeFunc(abbreviations)
	fs.BoolVarP(&o.udp, "udp", "u", false, "")
	fs.BoolVarP(&o.ipv4, "ipv4", "4", false, "")
	fs.BoolVarP(&o.ipv6, "ipv6", "6", false, "")
	fs.BoolVarP(&o.verbose, "verbose", "v", false, "")
	fs.BoolVarP(&o.version, "version", "V", false, "")
	fs.BoolVarP(&o.help, "help", "h", false, "")
	o.delay = client.DefaultDelay
	fs.VarP(textValue{"delay", func(s string) (err error) { o.delay, err = parseDelay(s); return }}, "delay", "d", "")
	fs.Var(textValue{"flags", func(s string) (err error) { o.flags, err = parseFlags(s); return }}, "flags", "")
	fs.Var(textValue{"address", func(s string) (err error) { o.route.Source, err = netip.ParseAddr(s); return }}, "source", "")
	fs.StringVar(&o.route.Interface, "interface", "", "")
}

// family returns the address family asked for. As in knock 0.8, -6 wins over
// -4.
func (o *options) family() client.Family {
	switch {
	case o.ipv6:
		return client.IPv6
	case o.ipv4:
		return client.IPv4
	}
	return client.Any
}

// textValue is a pflag.Value that only checks and keeps what was said.
type textValue struct {
	kind string
	set  func(string) error
}

func (v textValue) String() string     { return "" }
func (v textValue) Set(s string) error { return v.set(s) }
func (v textValue) Type() string       { return v.kind }

// parseDelay reads a pause: a number is milliseconds, as in knock 0.8.
func parseDelay(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if n, nerr := strconv.ParseInt(text, 10, 32); nerr == nil {
		d, err = time.Duration(n)*time.Millisecond, nil
	}
	switch {
	case err != nil:
		return 0, errors.New("must be milliseconds or a time such as 200ms")
	case d < 0:
		return 0, errors.New("cannot be negative")
	}
	return d, nil
}

// parseFlags reads a comma list of TCP flags.
func parseFlags(text string) (knock.Flags, error) {
	var flags knock.Flags
	for name := range strings.SplitSeq(text, ",") {
		f, ok := knock.ParseFlag(strings.TrimSpace(name))
		if !ok {
			return 0, fmt.Errorf("%q is none of fin, syn, rst, psh, ack, urg", name)
		}
		flags |= f
	}
	return flags, nil
}

// longOptions are those of knock 0.8. It takes any unambiguous beginning of
// them, as getopt_long(3) does.
var longOptions = []string{"udp", "delay", "ipv4", "ipv6", "verbose", "version", "help"}

// abbreviations completes the beginning of an option.
func abbreviations(fs *pflag.FlagSet, name string) pflag.NormalizedName {
	full := ""
	for _, long := range longOptions {
		if long == name {
			return pflag.NormalizedName(name)
		}
		if strings.HasPrefix(long, name) {
			if full != "" {
				return pflag.NormalizedName(name)
			}
			full = long
		}
	}
	if full == "" || name == "" {
		full = name
	}
	return pflag.NormalizedName(full)
}

// badOption reports an error of the option parser: a value that is none in
// this program's words, all else as knock 0.8 does.
func (s system) badOption(err error) int {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) && invalid.GetFlag().NoOptDefVal == "" {
		err = fmt.Errorf("--%s %s: %w", invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap())
		return s.exit(&usageError{err: err})
	}
	fmt.Fprintf(s.stderr, "knock: %s\n", optionError(err))
	printUsage(s.stdout)
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
