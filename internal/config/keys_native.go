package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"knockd/internal/knock"
)

// nativeOptions are the options of native doors.
var nativeOptions = []key[*Config]{
	parsed(func(c *Config) *NftMode { return &c.NftMode }, wordOf(nftModes...), "nft_mode").
		is(facts{reload: never, doc: "how native doors work with the firewall"}),
	parsed(func(c *Config) *Table { return &c.NftTable }, parseTable, "nft_table").
		is(facts{reload: never, doc: "the daemon's own table"}),
	parsed(func(c *Config) *GuardHook { return &c.GuardHook }, wordOf(HookInput, HookPrerouting), "guard_hook").
		is(facts{reload: never, doc: "where the guard stands"}),
	parsed(func(c *Config) *Mark { return &c.NftMark }, parseMark, "nft_mark").
		is(facts{follow: comment, reload: never, doc: "the mark of what native doors let in"}),
	parsed(func(c *Config) *[]netip.Prefix { return &c.Rescue }, parseRescue, "rescue").
		is(facts{doc: "addresses for which the guard closes nothing"}),
	parsed(func(c *Config) *SetName { return &c.NftSet }, parseSet("ip6"), "nft_set").
		is(facts{reload: byDoors, doc: "the host's set for IPv4, where a door names none"}),
	parsed(func(c *Config) *SetName { return &c.NftSet6 }, parseSet("ip"), "nft_set_6").
		is(facts{reload: byDoors, doc: "the host's set for IPv6, where a door names none"}),
}

// nativeKeys say what a door opens without a command.
var nativeKeys = []key[*rawDoor]{
	valueKey(readOpen, "open").sets(func(d *rawDoor) []any { return []any{&d.Open, &d.OpenNamed} }).written(writeOpen).acting(portActions).
		is(facts{follow: listComment, doc: "the ports that the door opens without a command"}),
	parsed(func(d *rawDoor) *SetName { return &d.NftSet }, parseSet("ip6"), "nft_set").
		is(facts{doc: "the host's set for IPv4"}),
	parsed(func(d *rawDoor) *SetName { return &d.NftSet6 }, parseSet("ip"), "nft_set_6").
		is(facts{doc: "the host's set for IPv6"}),
	actionKey(parseRecent, "xt_recent").
		is(facts{single: true, ruleset: "a ruleset has lists of its own: write open = tcp/22 (the ports) in its place", doc: "the list of iptables' match recent that knockers are put in"}),
	parsed(func(d *rawDoor) *int { return &d.OpenPrefix4 }, between(8, 32), "open_prefix_4").
		is(facts{follow: comment, doc: "how many bits of an IPv4 address count"}),
	parsed(func(d *rawDoor) *int { return &d.OpenPrefix6 }, between(16, 128), "open_prefix_6").
		is(facts{follow: comment, doc: "how many bits of an IPv6 address count"}),
	parsed(func(d *rawDoor) *string { return &d.Close }, parseText, "close").
		is(facts{doc: "the door whose openings this one ends"}),
}

// parseRecent reads a list's name as xt_recent takes it: a file name in
// /proc/net/xt_recent, shorter than XT_RECENT_NAME_LEN in
// linux/netfilter/xt_recent.h.
func parseRecent(text string) (string, error) {
	const longest = 199
	if text == "" || len(text) > longest || text == "." || text == ".." || strings.ContainsAny(text, "/"+space) {
		return "", fmt.Errorf("%q: must be a list's name of at most %d bytes, without blanks and /", text, longest)
	}
	return text, nil
}

// The actions that no key is named after.
const (
	nftAction     = "nft"     // opens ports
	natAction     = "nat"     // leads a port elsewhere
	commandAction = "command" // runs commands
)

// actionKey returns a key that names an action. Its value is the action's
// argument.
func actionKey(parse func(string) (string, error), name string) key[*rawDoor] {
	k := valueKey(func(d *rawDoor, value string) error {
		value, err := parse(value)
		if err == nil {
			d.Actions = slices.DeleteFunc(d.Actions, func(a Action) bool { return a.Key == name })
			d.Actions = append(d.Actions, Action{Key: name, Name: name, For: IPv4 | IPv6, Args: knock.Arguments{Version: 1, Value: value}})
		}
		return err
	}, name).sets(func(d *rawDoor) []any { return []any{&d.Actions} }).written(func(d *rawDoor) (string, bool) {
		for _, a := range d.Actions {
			if a.Key == name {
				return a.Args.Value, true
			}
		}
		return "", false
	})
	k.action = true
	return k
}

// portActions returns those of open: the ports that the knock or a message
// names, and those of the door.
func portActions(d *rawDoor) (list []Action) {
	base := Action{Key: "open", Name: nftAction, For: IPv4 | IPv6, Args: knock.Arguments{Version: 1}}
	for _, proto := range d.OpenNamed {
		a := base
		a.Opens, a.Args.Port.Proto = OpensNamed, proto
		list = append(list, a)
	}
	switch {
	case len(d.Open) == 0:
	case d.SPA != nil:
		base.Opens = OpensAsked
		list = append(list, base)
	default:
		base.Ports = d.Open
		list = append(list, base)
	}
	return list
}

// natActions returns that of nat_allow.
func natActions(d *rawDoor) []Action {
	if d.SPA == nil || len(d.SPA.NATAllow) == 0 {
		return nil
	}
	return []Action{{Key: "nat_allow", Name: natAction, For: IPv4 | IPv6, Opens: OpensNAT, Args: knock.Arguments{Version: 1}}}
}

// commandActions returns the commands of each address family, once if they are
// the same.
func commandActions(d *rawDoor) (list []Action) {
	four := Action{Key: "start_command", Name: commandAction, For: IPv4,
		Args: knock.Arguments{Version: 1, Start: d.StartCommand, Stop: d.StopCommand, StartLimit: d.StartLimit}}
	six := four
	six.For, six.Args.Start, six.Args.Stop = IPv6, d.StartCommand6, d.StopCommand6
	if four.Args == six.Args {
		four.For |= IPv6
		six.Args.Start = ""
	}
	for _, a := range []Action{four, six} {
		if a.Args.Start != "" {
			list = append(list, a)
		}
	}
	return list
}

// listActions lists all ways in which the door opens, in the order of the rows:
// the first opens first.
func (d *rawDoor) listActions() {
	for _, k := range doorRows {
		if k.acts != nil {
			d.Actions = append(d.Actions, k.acts(d)...)
		}
	}
	row := func(a Action) int {
		return slices.IndexFunc(doorRows, func(k key[*rawDoor]) bool { return k.names[0] == a.Key })
	}
	slices.SortStableFunc(d.Actions, func(a, b Action) int { return cmp.Compare(row(a), row(b)) })
}

// opens reports whether the door does what the key of an action says.
func (d *Door) opens(key string) bool {
	return slices.ContainsFunc(d.Actions, func(a Action) bool { return a.Key == key })
}
