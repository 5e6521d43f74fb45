package main

import (
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/pflag"

	"knockd/internal/client"
	"knockd/internal/client/plan"
)

// options is what the command line says: what to do, and how to tell of it.
type options struct {
	plan.Request
	set *pflag.FlagSet

	verbose, version, help bool
	dryRun, json, explain  bool
}

// newOptions returns the options, ready to parse a command line.
func newOptions(sys system) *options {
	o := &options{set: pflag.NewFlagSet("knock", pflag.ContinueOnError)}
	o.Getenv, o.Stdin = sys.getenv, sys.stdin
	o.set.SetOutput(io.Discard)
	o.set.SetNormalizeFunc(abbreviations)
	o.registerOld()
	o.registerNew()
	return o
}

// registerOld makes known the options of knock 0.8.
func (o *options) registerOld() {
	fs := o.set
	fs.BoolVarP(&o.UDP, "udp", "u", false, "")
	fs.BoolVarP(&o.IPv4, "ipv4", "4", false, "")
	fs.BoolVarP(&o.IPv6, "ipv6", "6", false, "")
	fs.BoolVarP(&o.verbose, "verbose", "v", false, "")
	fs.BoolVarP(&o.version, "version", "V", false, "")
	fs.BoolVarP(&o.help, "help", "h", false, "")
	fs.VarP(parsed(&o.Delay, said(client.ParseDelay)), "delay", "d", "")
}

// registerNew makes known all others.
func (o *options) registerNew() {
	fs := o.set
	fs.BoolVar(&o.Both, "both", false, "")
	fs.BoolVar(&o.dryRun, "dry-run", false, "")
	fs.BoolVar(&o.json, "json", false, "")
	fs.BoolVar(&o.explain, "explain", false, "")
	fs.VarP(parsed(&o.Wait, client.ParseWait), "wait", "w", "")
	fs.Var(parsed(&o.Timeout, said(client.ParseTimeout)), "timeout", "")
	fs.Var(parsed(&o.Retry, said(client.ParseRetry)), "retry", "")
	fs.Var(parsed(&o.Flags, client.ParseFlags), "flags", "")
	fs.Var(parsed(&o.Source, parseSource), "source", "")
	fs.Var(parsed(&o.Interface, said(verbatim)), "interface", "")
	fs.StringVar(&o.Profile, "profile", "", "")
	fs.StringVar(&o.Config, "config", "", "")
	fs.Var(parsed(&o.OneTime, said(verbatim)), "one-time", "")
	fs.Var(parsed(&o.SequenceFile, said(verbatim)), "sequence-file", "")
}

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

// said makes of a parser one that tells what was said from what was not.
func said[T any](parse func(string) (T, error)) func(string) (*T, error) {
	return func(text string) (*T, error) {
		x, err := parse(text)
		return &x, err
	}
}

func verbatim(text string) (string, error) { return text, nil }
