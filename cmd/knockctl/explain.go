package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"knockd/internal/action"
	"knockd/internal/capture"
	"knockd/internal/cli"
	"knockd/internal/client"
	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/explain"
	"knockd/internal/knock"
	"knockd/internal/offline"
	"knockd/internal/onetime"
)

const explainUsage = "knockctl explain [OPTIONS] FILE [ADDRESS], STEP..., or --live [ADDRESS]"

// explainOptions are those of the explain command.
type explainOptions struct {
	flags      *pflag.FlagSet
	config     string
	interfaces string
	local      []string
	onlyV4     bool
	door       string
	show       bool
	json       bool
	svg        string

	live   bool
	limit  time.Duration // of live; 0: until Ctrl-C
	socket *string

	gap      string // typed knocks
	tcpFlags string
	from, to string

	file    string // "": knocks were typed
	address netip.Addr
	steps   []knock.Step
}

// explainKnocks says why knocks have opened a door or have not.
func explainKnocks(ctx context.Context, w *world, args []string) error {
	o, err := parseExplain(w, args)
	if err != nil {
		return err
	}
	if o.live {
		return o.watchLive(ctx, w)
	}
	conf, err := config.Load(o.config)
	if err != nil {
		return err
	}
	if err := o.checkDoor(conf); err != nil {
		return err
	}
	local, err := o.localAddresses(conf)
	if err != nil {
		return err
	}
	source, where, err := o.source(ctx, conf, local, w.time())
	if err != nil {
		return err
	}
	defer source.Close()
	return o.tell(w, conf, local, source, where)
}

func parseExplain(w *world, args []string) (*explainOptions, error) {
	o := &explainOptions{flags: pflag.NewFlagSet("explain", pflag.ContinueOnError)}
	f := o.flags
	f.StringVarP(&o.config, "config", "c", "/etc/knockd.conf", "the configuration, with its drop-ins in `FILE`.d")
	f.StringVar(&o.door, "door", "", "tell of this `DOOR` alone")
	f.StringSliceVar(&o.local, "address", nil, "a local `address` (default: those of the interface)")
	f.StringVarP(&o.interfaces, "interface", "i", "", "knocks count on these, in place of the configuration's (any: on all)")
	f.BoolVarP(&o.onlyV4, "only-ip-v4", "4", false, "ignore IPv6")
	f.StringVar(&o.gap, "gap", "50ms", "STEP...: the `TIME` between two knocks")
	f.StringVar(&o.tcpFlags, "flags", "syn", "STEP...: the `FLAGS` of knocks by TCP")
	f.StringVar(&o.from, "from", "", "STEP...: the `ADDRESS` that knocks")
	f.StringVar(&o.to, "to", "", "STEP...: the `ADDRESS` that is knocked at (default: a local one, or the door's target)")
	f.BoolVar(&o.show, "show-sequences", false, "name ports of sequences by number, too")
	f.BoolVar(&o.json, "json", false, "print JSON, a line each, as the manual describes it")
	f.StringVar(&o.svg, "svg", "", "draw what is told as a picture in this `FILE`, too")
	f.BoolVar(&o.live, "live", false, "tell of what comes now, as knockd decides on it, until Ctrl-C")
	limit := f.String("for", "", "--live: end after this `TIME`: 30s, 90")
	o.socket = socketFlag(f)
	words, err := parse(w, f, explainUsage, args)
	if err != nil {
		return nil, err
	}
	err = o.takeWords(words)
	if err == nil && *limit != "" {
		if o.limit, err = client.ParseTimeout(*limit); err != nil {
			err = fmt.Errorf("--for: %w", err)
		}
	}
	if err != nil {
		return nil, cli.Usage(err, explainUsage)
	}
	return o, nil
}

// takeWords reads what is to be explained: steps, or a file and perhaps an address.
func (o *explainOptions) takeWords(words []string) error {
	if o.live {
		for _, name := range []string{"gap", "flags", "from", "to", "address", "interface", "only-ip-v4"} {
			if o.flags.Changed(name) {
				return fmt.Errorf("--%s does not go with --live", name)
			}
		}
		return o.takeAddress(words)
	}
	for _, name := range []string{"for", "socket"} {
		if o.flags.Changed(name) {
			return fmt.Errorf("--%s goes with --live", name)
		}
	}
	if len(words) == 0 {
		return errors.New("what is to be explained: a capture file, - for standard input, or steps")
	}
	steps, err := parseSteps(words)
	if err == nil {
		o.steps = steps
		return nil
	}
	for _, name := range []string{"gap", "flags", "from", "to"} {
		if o.flags.Changed(name) {
			return fmt.Errorf("--%s is for steps that are typed: %w", name, err)
		}
	}
	o.file = words[0]
	return o.takeAddress(words[1:])
}

// takeAddress reads whose packets are told of, if somebody's.
func (o *explainOptions) takeAddress(words []string) (err error) {
	switch len(words) {
	case 0:
		return nil
	case 1:
		if o.address, err = netip.ParseAddr(words[0]); err != nil {
			return fmt.Errorf("%q: not an IP address", words[0])
		}
		o.address = o.address.Unmap().WithZone("")
		return nil
	}
	return fmt.Errorf("%q: one word too many", words[1])
}

func parseSteps(words []string) (steps []knock.Step, err error) {
	for _, word := range words {
		for text := range strings.SplitSeq(word, ",") {
			s, err := client.ParseStep(text)
			if err != nil {
				return nil, err
			}
			steps = append(steps, s)
		}
	}
	return steps, nil
}

// checkDoor reports a door that --door names and nobody has.
func (o *explainOptions) checkDoor(conf *config.Config) error {
	is := func(d *config.Door) bool { return d.ID().String() == o.door }
	if o.door == "" || slices.ContainsFunc(conf.Doors, is) {
		return nil
	}
	return fmt.Errorf("--door %s: no door of %s is called so", o.door, o.config)
}

// Addresses that typed knocks get if there are no others (RFC 5737, RFC 3849).
var (
	someHosts    = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	someKnockers = []netip.Addr{netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8:7::7")}
)

// localAddresses returns the addresses that count as the host's own.
func (o *explainOptions) localAddresses(conf *config.Config) (local []netip.Addr, err error) {
	for _, text := range o.local {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, cli.Usagef(explainUsage, "--address %q: not an IP address", text)
		}
		local = append(local, a.Unmap().WithZone(""))
	}
	if len(local) > 0 {
		return local, nil
	}
	var given []string
	if o.interfaces != "" {
		if given, err = config.ParseInterfaces(o.interfaces); err != nil {
			return nil, cli.Usagef("", "--interface: %w", err)
		}
	}
	names, _ := capture.ToListenOn(given, conf.Interfaces)
	listening, err := capture.Look(names)
	switch {
	case err == nil && len(listening.Local) > 0:
		return listening.Local, nil
	case o.file == "":
		return someHosts, nil
	case err == nil:
		err = fmt.Errorf("%s: no such network interface here, or it has no address", strings.Join(names, ", "))
	}
	return nil, cli.WithHint(err, "say with --address which addresses are local")
}

// source returns the packets, and where they are in words.
func (o *explainOptions) source(ctx context.Context, conf *config.Config, local []netip.Addr, now time.Time) (capture.Source, string, error) {
	if o.file == "" {
		typed, err := o.typed(conf, local, now)
		if err == nil {
			o.address = typed.packets[0].Hit.Src
		}
		return typed, "was typed", err
	}
	f, err := capture.OpenFile(o.file)
	if err != nil {
		return nil, "", err
	}
	where := "is in " + o.file
	if o.file == capture.Stdin {
		where = "is in standard input"
	}
	return untilDone(ctx, f, o.file == capture.Stdin), where, nil
}

// telling writes what there is to say, as the options have it.
type telling struct {
	*explain.Teller
	o       *explainOptions
	out     *bufio.Writer
	text    *explain.Writer
	json    *explain.JSON
	picture *explain.Picture
	failed  error
}

// telling returns a writer of stories. Ports may be nil.
func (o *explainOptions) telling(w *world, ports *explain.Ports, opens func(knock.DoorID) explain.Opening, local func(netip.Addr) bool) *telling {
	out := bufio.NewWriter(w.stdout)
	zone := w.time().Location()
	t := &telling{
		o: o, out: out,
		text:    &explain.Writer{W: out, Ports: ports, ShowPorts: o.show, Door: o.door, Zone: zone},
		json:    &explain.JSON{W: out, Ports: ports, ShowPorts: o.show},
		picture: &explain.Picture{Door: o.door, Zone: zone},
	}
	t.Teller = explain.NewTeller(explain.Options{Tell: t.story, Ports: ports, Local: local, Opens: opens, Source: o.address, Door: o.door})
	return t
}

func (t *telling) story(s *explain.Story) {
	write := t.text.Story
	if t.o.json {
		write = t.json.Story
	}
	t.failed = cmp.Or(t.failed, write(s))
	if t.o.svg != "" {
		t.picture.Add(s)
	}
}

func (t *telling) flush() { t.failed = cmp.Or(t.failed, t.out.Flush()) }

// end writes what is left; where says where packets were looked for.
func (t *telling) end(now time.Time, where string) error {
	t.Close(now)
	if t.o.json {
		t.failed = cmp.Or(t.failed, t.json.Totals(&t.Totals))
	} else {
		t.failed = cmp.Or(t.failed, t.text.Totals(t.Teller, where))
	}
	t.flush()
	if t.o.svg != "" {
		t.failed = cmp.Or(t.failed, os.WriteFile(t.o.svg, t.picture.SVG(), 0o644))
	}
	return t.failed
}

// tell decides on the packets and writes what there is to say.
func (o *explainOptions) tell(w *world, conf *config.Config, local []netip.Addr, source capture.Source, where string) error {
	offline.BoundMemory(conf, true)
	ports := offline.Ports(conf)
	t := o.telling(w, ports, offline.Opens(conf), func(a netip.Addr) bool { return slices.Contains(local, a) })
	r := offline.Replay{
		Local: local, OnlyIPv4: o.onlyV4, Actions: action.Stopped(), Explainer: t.Teller, Few: true, Idle: t.flush,
		Used: func(door knock.DoorID, file string, l onetime.Line) { ports.Use(offline.Line(door, file, l)) },
		Event: func(at time.Time, e event.Event) {
			if e.Audience()&event.Terminal != 0 {
				w.speaker().Warn(e.Text(), "")
			}
			t.Event(at, e)
		},
	}
	err := r.Run(conf, source)
	if err != nil && t.Packets == 0 {
		return err
	}
	return cmp.Or(err, t.end(time.Time{}, where))
}
