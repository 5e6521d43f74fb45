package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/netstate"
	"knockd/internal/ruleset"
)

var exportUsage = "knockctl export " + backends("|") + " [OPTIONS] [DOOR...]"

// backends lists what a ruleset can be made for.
func backends(separator string) string {
	var names []string
	for _, b := range ruleset.Backends() {
		names = append(names, b.Name())
	}
	return strings.Join(names, separator)
}

// exportOptions are those of the export command.
type exportOptions struct {
	backend    ruleset.Backend
	doors      []string
	config     string
	interfaces string
	hook       string
	apply      bool
	remove     bool
	ruleset.Options
}

// export compiles doors and prints, loads or removes the ruleset.
func export(ctx context.Context, w *world, args []string) error {
	o, err := parseExport(w, args)
	if err != nil {
		return err
	}
	host := ruleset.Host{Run: w.run, Say: func(text string) { w.say(text, "") }}
	if o.remove {
		found, err := o.backend.Remove(ctx, host, o.Options)
		if err == nil && !found {
			w.say("nothing to remove", "")
		}
		return err
	}
	text, err := o.compile(w)
	if err != nil {
		return err
	}
	if o.apply {
		return o.backend.Load(ctx, host, o.Options, string(text))
	}
	_, err = w.stdout.Write(text)
	return err
}

func parseExport(w *world, args []string) (*exportOptions, error) {
	o := &exportOptions{}
	f := pflag.NewFlagSet("export", pflag.ContinueOnError)
	f.StringVarP(&o.config, "config", "c", "/etc/knockd.conf", "the configuration, with its drop-ins in `FILE`.d")
	f.StringVarP(&o.interfaces, "interface", "i", "", "knocks count on these, in place of the configuration's (any: on all)")
	f.BoolVar(&o.IPv6, "ipv6", false, "iptables: write the file for ip6tables-restore")
	f.BoolVar(&o.Observe, "observe", false, "watch knocks in place of dropping them; shut doors answer as closed ports do")
	f.StringVar(&o.hook, "hook", "input", "`input`, or prerouting for ports that are forwarded (Docker, DNAT)")
	f.Uint16Var(&o.Group, "group", ruleset.DefaultGroup, "the NFLOG `group` of the log lines")
	f.BoolVar(&o.apply, "apply", false, "check the ruleset, then load it, in place of printing it")
	f.BoolVar(&o.remove, "remove", false, "take it out of the kernel")
	words, err := parse(w, f, exportUsage, args)
	if err != nil {
		return nil, err
	}
	all := ruleset.Backends()
	i := slices.IndexFunc(all, func(b ruleset.Backend) bool { return len(words) > 0 && b.Name() == words[0] })
	if i < 0 {
		return nil, cli.Usagef(exportUsage, "which ruleset: %s?", backends(" or "))
	}
	o.backend, o.doors, o.Prerouting = all[i], words[1:], o.hook == "prerouting"
	if err := o.check(); err != nil {
		return nil, cli.Usage(err, exportUsage)
	}
	return o, nil
}

func (o *exportOptions) check() error {
	switch {
	case o.hook != "input" && o.hook != "prerouting":
		return fmt.Errorf("--hook %s: must be input or prerouting", o.hook)
	case o.Group == 0 || o.Group == math.MaxUint16:
		return errors.New("--group: must be between 1 and 65534")
	}
	if err := o.backend.Check(o.Options); err != nil {
		return err
	}
	switch {
	case o.apply && o.remove:
		return errors.New("--apply and --remove: one or the other")
	case o.remove && len(o.doors) > 0:
		return errors.New("--remove: takes out the whole ruleset; name no door")
	}
	return nil
}

// compile returns the ruleset's text, and says on stderr what its reader ought
// to know.
func (o *exportOptions) compile(w *world) ([]byte, error) {
	c, err := config.Load(o.config)
	if err != nil {
		return nil, err
	}
	doors, notes, err := ruleset.FromConfig(c, o.doors)
	if err != nil {
		return nil, err
	}
	if o.interfaces != "" {
		if c.Interfaces, err = config.ParseInterfaces(o.interfaces); err != nil {
			return nil, cli.Usagef("", "--interface: %w", err)
		}
	}
	if o.Options.Interfaces, err = ruleset.Interfaces(c); err != nil {
		return nil, err
	}
	if !o.Observe {
		for _, l := range netstate.Listeners() {
			o.Live = append(o.Live, knock.Step{Proto: knock.Protocol(l.Proto), Port: l.Port})
		}
	}
	text, notesOf, err := o.backend.Compile(doors, o.Options)
	if err != nil {
		return nil, err
	}
	for _, n := range append(append(c.Warnings, notes...), notesOf...) {
		w.say(n, "")
	}
	return text, nil
}
