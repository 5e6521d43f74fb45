package setup

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/netstate"
	"knockd/internal/nft/inspect"
)

// openTime is how long a proposed door stays open for who has knocked.
const openTime = 30 * time.Second

// Ask is what is wanted.
type Ask struct {
	File   string         // the configuration
	Exists bool           // it is there, so that a drop-in has to do
	Port   uint16         // of TCP, that the door opens
	Name   string         // of the door
	Server string         // by which knockers reach the host; "": its address
	Mode   config.NftMode // "": what suits the firewall
	Rescue string         // networks that need no knock, as rescue has them; "": none
}

// Plan is a door for a host.
type Plan struct {
	Ask
	Path     string // of the file that the door is to stand in
	Text     string // of this file
	Mode     config.NftMode
	Sequence []knock.Step

	host       *Host
	interfaces []string // that will be listened on
}

// Conflict is a configuration that a new door of this host cannot stand beside.
type Conflict struct{ text, hint string }

// Error says why.
func (c *Conflict) Error() string { return c.text }

// Hint says what to do.
func (c *Conflict) Hint() string { return c.hint }

// Propose makes a plan. Before is the configuration that there is, empty if there
// is none. Random is crypto/rand.Reader but in tests.
func Propose(h *Host, ask Ask, before *config.Config, random io.Reader) (*Plan, error) {
	p := &Plan{Ask: ask, Path: ask.File, host: h}
	if ask.Exists {
		p.Path = filepath.Join(ask.File+".d", "50-"+ask.Name+".conf")
	}
	taken := h.used()
	opens := knock.PortRange{Proto: knock.TCP, First: ask.Port, Last: ask.Port}
	taken = append(taken, opens)
	for _, d := range before.Doors {
		if d.Name == ask.Name {
			return nil, &Conflict{fmt.Sprintf("%v has a door [%s] already", d.Place, d.Name), "name the new one: --name"}
		}
		taken = slices.Concat(taken, knock.PortsOf(d.Sequence), d.Open, d.OpenPorts)
	}
	var err error
	if p.Mode, err = p.mode(before); err != nil {
		return nil, err
	}
	switch {
	case ask.Rescue == "":
	case p.Mode != config.NftGuard:
		return nil, &Conflict{"rescue: nft_mode = mark closes nothing that could be left open for some", "let the host's firewall accept these addresses"}
	case len(before.Rescue) > 0:
		return nil, &Conflict{ask.File + " has addresses of rescue already", "add the others there"}
	}
	if p.Sequence, err = sequence(random, taken); err != nil {
		return nil, err
	}
	p.Text = p.text(before)
	made, err := config.Parse(p.Path, []byte(strings.ReplaceAll(p.Text, "\tnew ", "\t# new ")))
	if err == nil && len(made.Warnings)+len(made.Advice) > 0 {
		err = errors.New(strings.Join(slices.Concat(made.Warnings, made.Advice), "\n"))
	}
	if err != nil {
		return nil, fmt.Errorf("propose a door: %w", err)
	}
	return p, nil
}

// mode chooses how the door opens. A port that the firewall lets in gets the
// guard, one that it drops the mark; but firewalld keeps no rule for a mark, and
// all doors of a configuration have one mode.
func (p *Plan) mode(before *config.Config) (config.NftMode, error) {
	best, _ := p.host.access()
	mode := p.Ask.Mode
	switch {
	case mode != "":
	case best == inspect.Nobody && p.dropper() != Firewalld:
		mode = config.NftMark
	default:
		mode = config.NftGuard
	}
	native := slices.ContainsFunc(before.Doors, func(d *config.Door) bool { return d.OpensPorts() })
	switch {
	case !native || before.NftMode == mode:
		return mode, nil
	case p.Ask.Mode == "" && mode == config.NftMark && before.NftMode == config.NftGuard:
		return config.NftGuard, nil // the port has to be let in there then
	}
	hint := "drop the port in the host's firewall, then say knockctl init again"
	if before.NftMode == config.NftSet {
		hint = "write the door by hand, with its sets: see knockd.conf(5)"
	}
	return "", &Conflict{fmt.Sprintf("%s: its doors have nft_mode = %s, and tcp/%d wants %s, which holds for all of them",
		p.File, before.NftMode, p.Port, mode), hint}
}

// dropper is the firewall that drops the port, for the first IP version for which
// one does.
func (p *Plan) dropper() Firewall {
	for _, r := range p.host.Reach {
		if r.Access == inspect.Nobody {
			return p.host.dropper(r)
		}
	}
	return p.host.Firewall
}

// waits reports whether the door opens nothing before the host's firewall has
// one more rule.
func (p *Plan) waits() bool {
	best, _ := p.host.access()
	return !p.host.Unexamined && (p.Mode == config.NftMark || best == inspect.Nobody)
}

// forwarded reports whether the port is led elsewhere, past a guard at the
// hook input.
func (p *Plan) forwarded() bool {
	return p.host.Reach[0].Forwarded || p.host.Reach[1].Forwarded
}

// Overridden returns the doors of a configuration whose commands speak of the
// port, as far as their words tell: behind the guard they open nothing any
// more.
func (p *Plan) Overridden(before *config.Config) (names []string) {
	if p.Mode != config.NftGuard {
		return nil
	}
	port := regexp.MustCompile(fmt.Sprintf(`\b%d\b`, p.Port))
	for _, d := range before.Doors {
		if port.MatchString(d.StartCommand) || port.MatchString(d.StartCommand6) {
			names = append(names, "["+d.Name+"]")
		}
	}
	return names
}

// text writes the configuration.
func (p *Plan) text(before *config.Config) string {
	var b, options strings.Builder
	option := func(key, value string) { fmt.Fprintf(&options, "\t%-11s = %s\n", key, value) }
	if !p.Exists {
		option("LogFile", "/var/log/knockd.log")
	}
	var added bool
	if p.interfaces, added = p.host.listen(before.Interfaces, p.Exists); added {
		option("Interface", strings.Join(p.interfaces, ", "))
	}
	if p.Mode != before.NftMode {
		option("nft_mode", string(p.Mode))
	}
	if p.Mode == config.NftGuard && p.forwarded() && before.GuardHook != config.HookPrerouting {
		option("guard_hook", string(config.HookPrerouting))
	}
	fmt.Fprintln(&b, "# Written by knockctl init. The sequence is secret: nobody but root may read this\n# file. See knockd.conf(5).")
	switch {
	case p.Rescue != "":
		option("rescue", p.Rescue)
	case p.Mode == config.NftGuard && !p.Exists:
		option("# rescue", "198.51.100.0/24, 2001:db8::/48   (addresses that need no knock)")
	}
	if options.Len() > 0 {
		fmt.Fprintf(&b, "[options]\n%s\n", &options)
	}
	fmt.Fprintf(&b, "[%s]\n", p.Name)
	key := func(key, value string) { fmt.Fprintf(&b, "\t%-11s = %s\n", key, value) }
	if p.Exists {
		key("new", "yes")
	}
	key("sequence", strings.Join(p.ports(), ","))
	key("strict", "yes")
	key("open", p.opens())
	key("cmd_timeout", fmt.Sprintf("%.0f", openTime.Seconds()))
	return b.String()
}

// opens returns what the door opens, as the configuration has it.
func (p *Plan) opens() string { return fmt.Sprintf("tcp/%d", p.Port) }

// ports returns the steps, as a configuration and knock have them.
func (p *Plan) ports() (list []string) {
	for _, s := range p.Sequence {
		list = append(list, fmt.Sprint(s.Port))
	}
	return list
}

// listen returns what to listen on, so that knocks are captured that come the way
// of the default route, and the way of the connections that there are. Have is what
// the configuration names, which may be nothing; added says that it has to name
// more.
func (h *Host) listen(have []string, exists bool) (names []string, added bool) {
	want := []string{config.AnyInterface}
	if h.Default != 0 {
		want = []string{config.DefaultRoute}
		for _, a := range h.Connected {
			i := slices.IndexFunc(h.Interfaces, func(i netstate.Interface) bool { return slices.Contains(i.Addrs, a) })
			if i >= 0 && h.Interfaces[i].Index != h.Default && !slices.Contains(want, h.Interfaces[i].Name) {
				want = append(want, h.Interfaces[i].Name)
			}
		}
	}
	switch {
	case !exists:
		return want, true
	case len(have) > 0:
	case slices.ContainsFunc(h.Interfaces, func(i netstate.Interface) bool { return i.Name == "eth0" }):
		have = []string{"eth0"} // as knockd does where nothing is named
	default:
		have = []string{config.DefaultRoute}
	}
	missing := slices.DeleteFunc(slices.Clone(want), func(name string) bool { return h.listensOn(have, name) })
	switch {
	case len(missing) == 0:
		return have, false
	case missing[0] == config.AnyInterface:
		return missing, true
	}
	return slices.Concat(have, missing), true
}

// listensOn reports whether one who listens on some interfaces listens on another
// one.
func (h *Host) listensOn(have []string, name string) bool {
	return slices.ContainsFunc(have, func(other string) bool {
		return other == config.AnyInterface || h.realName(other) == h.realName(name)
	})
}

// realName returns the interface that a name stands for.
func (h *Host) realName(name string) string {
	for _, i := range h.Interfaces {
		if name == config.DefaultRoute && i.Index == h.Default || i.HasName(name) {
			return i.Name
		}
	}
	return name
}
