package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/netstate"
	"knockd/internal/ruleset"
)

// The kinds of ruleset.
const (
	kindNft = "nftables"
	kindIpt = "iptables"
)

const exportUsage = "knockctl export nftables|iptables [OPTIONS] [DOOR...]"

// exportOptions are those of the export command.
type exportOptions struct {
	kind       string
	doors      []string
	config     string
	interfaces string
	hook       string
	group      uint16
	ipv6       bool
	observe    bool
	apply      bool
	remove     bool
}

// export compiles doors and prints, loads or removes the ruleset.
func export(ctx context.Context, w *world, args []string) error {
	o, err := parseExport(w, args)
	if err != nil {
		return err
	}
	if o.remove {
		return o.takeOut(ctx, w)
	}
	text, err := o.compile(w)
	if err != nil {
		return err
	}
	if o.apply {
		return o.load(ctx, w, text)
	}
	_, err = w.stdout.Write(text)
	return err
}

func parseExport(w *world, args []string) (*exportOptions, error) {
	o := &exportOptions{}
	f := pflag.NewFlagSet("export", pflag.ContinueOnError)
	f.StringVarP(&o.config, "config", "c", "/etc/knockd.conf", "the configuration, with its drop-ins in `FILE`.d")
	f.StringVarP(&o.interfaces, "interface", "i", "", "knocks count on these, in place of the configuration's (any: on all)")
	f.BoolVar(&o.ipv6, "ipv6", false, "iptables: write the file for ip6tables-restore")
	f.BoolVar(&o.observe, "observe", false, "watch knocks in place of dropping them; shut doors answer as closed ports do")
	f.StringVar(&o.hook, "hook", "input", "`input`, or prerouting for ports that are forwarded (Docker, DNAT)")
	f.Uint16Var(&o.group, "group", ruleset.DefaultGroup, "the NFLOG `group` of the log lines")
	f.BoolVar(&o.apply, "apply", false, "check the ruleset, then load it, in place of printing it")
	f.BoolVar(&o.remove, "remove", false, "take it out of the kernel")
	words, err := parse(w, f, exportUsage, args)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 || words[0] != kindNft && words[0] != kindIpt {
		return nil, cli.Usagef(exportUsage, "which ruleset: nftables or iptables?")
	}
	o.kind, o.doors = words[0], words[1:]
	return o, o.check()
}

func (o *exportOptions) check() error {
	bad := func(text string) error { return cli.Usage(errors.New(text), exportUsage) }
	switch {
	case o.hook != "input" && o.hook != "prerouting":
		return bad(fmt.Sprintf("--hook %s: must be input or prerouting", o.hook))
	case o.group == 0 || o.group == math.MaxUint16:
		return bad("--group: must be between 1 and 65534")
	case o.ipv6 && o.kind == kindNft:
		return bad("--ipv6: an nftables ruleset has both families already")
	case o.apply && o.remove:
		return bad("--apply and --remove: one or the other")
	case o.remove && len(o.doors) > 0:
		return bad("--remove: takes out the whole ruleset; name no door")
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
	opt := ruleset.Options{Observe: o.observe, Prerouting: o.hook == "prerouting", Group: o.group, IPv6: o.ipv6}
	if opt.Interfaces, err = ruleset.Interfaces(c); err != nil {
		return nil, err
	}
	if !o.observe {
		for _, l := range netstate.Listeners() {
			opt.Live = append(opt.Live, knock.Step{Proto: knock.Protocol(l.Proto), Port: l.Port})
		}
	}
	text, notesOf, err := o.text(doors, opt)
	if err != nil {
		return nil, err
	}
	for _, n := range append(append(c.Warnings, notes...), notesOf...) {
		w.say(n, "")
	}
	return text, nil
}

func (o *exportOptions) text(doors []*ruleset.Door, opt ruleset.Options) (text []byte, notes []string, err error) {
	if o.kind == kindNft {
		text, err = ruleset.Nftables(doors, opt)
		return text, ruleset.Notes(doors, opt), err
	}
	text, err = ruleset.Iptables(doors, opt)
	return text, ruleset.IptablesNotes(doors, opt), err
}
