package main

import (
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/pflag"

	"knockd/internal/client"
	"knockd/internal/knock"
)

// options is what the command line says. What it does not say is zero, or
// told by the flag set.
type options struct {
	set *pflag.FlagSet

	udp, ipv4, ipv6, both  bool
	verbose, version, help bool
	dryRun, json           bool
	delay, timeout         time.Duration
	retry                  int
	wait                   uint16
	flags                  knock.Flags
	route                  client.Route
	profile, config        string
	oneTime, sequenceFile  string

	spa *spaOptions // nil unless the subcommand is spa
}

// newOptions returns the options with their defaults, ready to parse a
// command line.
func newOptions() *options {
	o := &options{set: pflag.NewFlagSet("knock", pflag.ContinueOnError)}
	o.set.SetOutput(io.Discard)
	o.set.SetNormalizeFunc(abbreviations)
	o.registerOld()
	o.registerNew()
	return o
}

// registerOld makes known the options of knock 0.8.
func (o *options) registerOld() {
	fs := o.set
	fs.BoolVarP(&o.udp, "udp", "u", false, "")
	fs.BoolVarP(&o.ipv4, "ipv4", "4", false, "")
	fs.BoolVarP(&o.ipv6, "ipv6", "6", false, "")
	fs.BoolVarP(&o.verbose, "verbose", "v", false, "")
	fs.BoolVarP(&o.version, "version", "V", false, "")
	fs.BoolVarP(&o.help, "help", "h", false, "")
	o.delay = client.DefaultDelay
	fs.VarP(parsed(&o.delay, client.ParseDelay), "delay", "d", "")
}

// registerNew makes known all others.
func (o *options) registerNew() {
	fs := o.set
	fs.BoolVar(&o.both, "both", false, "")
	fs.BoolVar(&o.dryRun, "dry-run", false, "")
	fs.BoolVar(&o.json, "json", false, "")
	fs.VarP(parsed(&o.wait, client.ParseWait), "wait", "w", "")
	o.timeout = client.DefaultTimeout
	fs.Var(parsed(&o.timeout, client.ParseTimeout), "timeout", "")
	o.retry = client.DefaultRetry
	fs.Var(parsed(&o.retry, client.ParseRetry), "retry", "")
	fs.Var(parsed(&o.flags, client.ParseFlags), "flags", "")
	fs.Var(parsed(&o.route.Source, parseSource), "source", "")
	fs.StringVar(&o.route.Interface, "interface", "", "")
	fs.StringVar(&o.profile, "profile", "", "")
	fs.StringVar(&o.config, "config", "", "")
	fs.StringVar(&o.oneTime, "one-time", "", "")
	fs.StringVar(&o.sequenceFile, "sequence-file", "", "")
}

// given says whether the command line names an option.
func (o *options) given(name string) bool { return o.set.Changed(name) }

func parseSource(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return addr, fmt.Errorf("%q is not an IP address", text)
	}
	return addr.Unmap(), nil
}

// value is a pflag.Value that keeps what a parser makes of the text.
type value[T any] struct {
	to    *T
	parse func(string) (T, error)
}

func parsed[T any](to *T, parse func(string) (T, error)) value[T] { return value[T]{to, parse} }

func (v value[T]) String() string { return "" }
func (v value[T]) Type() string   { return "value" }

func (v value[T]) Set(text string) error {
	x, err := v.parse(text)
	if err == nil {
		*v.to = x
	}
	return err
}
