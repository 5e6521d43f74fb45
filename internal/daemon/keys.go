package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/openings"
	"knockd/internal/spa"
	"knockd/internal/spaconf"
)

// keyDoor makes the gate's door of a configured one, with the keys of its
// file.
func keyDoor(c *config.Door) (d *spa.Door, advice []string, err error) {
	if d, err = spaconf.Door(c); err != nil {
		return nil, nil, err
	}
	return d, spaconf.Advice(c, d), nil
}

// gate is the doors with keys, and who decides on their packets.
type gate struct {
	*spa.Verifier
	doors map[*spa.Door]*door
	ports map[knock.Step]bool // where packets may arrive
	// early: the guard stands before translation of addresses, where the
	// outer port of NAT is seen.
	early bool
}

// newGate returns the gate of the doors with keys; nil if there are none.
func newGate(conf *config.Config, list []*door, once spa.Once) *gate {
	g := &gate{early: conf.NftMode == config.NftGuard && conf.GuardHook == config.HookPrerouting,
		doors: map[*spa.Door]*door{}, ports: map[knock.Step]bool{}}
	var keyed []*spa.Door
	for _, d := range list {
		if d.keys == nil {
			continue
		}
		keyed = append(keyed, d.keys)
		g.doors[d.keys] = d
		for _, r := range d.keys.Listen {
			for port := int(r.First); port <= int(r.Last); port++ {
				g.ports[knock.Step{Proto: r.Proto, Port: uint16(port)}] = true
			}
		}
	}
	if len(keyed) == 0 {
		return nil
	}
	g.Verifier = spa.NewVerifier(keyed, once)
	return g
}

// requested is what a packet with the right keys opens.
func (g *gate) requested(d spa.Verdict) []openings.Opening {
	door := g.doors[d.By]
	base := door.openingFor(d.Grant.Addr)
	base.Timeout = d.Grant.Timeout
	base.Vars.Client, base.Vars.Src, base.Vars.Dst = d.Client, d.Src.String(), d.Dst.String()
	var list []openings.Opening
	for _, p := range g.opened(d.By, &d.Grant) {
		list = append(list, native(base, nftKind, p.Ports().String(), knock.Arguments{Port: p}))
	}
	if d.Grant.NAT != nil {
		list = append(list, translated(base, &d.Grant))
	}
	return append(list, commandsFor(base, door, d.Grant.Ports)...)
}

// commandsFor are the openings by command: one for each port if a command
// names it, else one.
func commandsFor(base openings.Opening, d *door, ports []knock.Step) []openings.Opening {
	if o := withCommands(base, d); o.Start == "" {
		return nil
	}
	if !namesPort(d, base.Addr) {
		ports = ports[:1]
	}
	var list []openings.Opening
	for _, p := range ports {
		o := base
		o.Vars.Port, o.Vars.Proto = fmt.Sprint(p.Port), p.Proto.String()
		list = append(list, withCommands(o, d))
	}
	return list
}

func namesPort(d *door, addr netip.Addr) bool {
	commands := d.StartCommand + d.StopCommand
	if !addr.Is4() {
		commands = d.StartCommand6 + d.StopCommand6
	}
	return strings.Contains(commands, "%PORT%") || strings.Contains(commands, "%PROTO%")
}

// accepted is the event of somebody with the right keys.
func (g *gate) accepted(d spa.Verdict) event.MessageAccepted {
	o := &d.Grant
	e := event.MessageAccepted{Src: d.Src, Door: d.Door, Client: d.Client, For: o.Addr, Timeout: o.Timeout}
	for _, p := range o.Ports {
		e.Ports = append(e.Ports, p.Ports())
	}
	if o.NAT != nil {
		e.NAT = netip.AddrPortFrom(o.NAT.Addr, o.NAT.Port)
	}
	return e
}

// errNoStore: replayed packets could not be told from new ones.
var errNoStore = errors.New("doors with spa_key_file need a StateDir that can be written: it keeps what was used")
