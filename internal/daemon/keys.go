package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"knockd/internal/config"
	"knockd/internal/doors"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// keyDoor makes the gate's door of a configured one, with the keys of its
// file.
func keyDoor(c *config.Door) (d *spa.Door, advice []string, err error) {
	hmac := spa.SHA256
	if c.SPA.HMAC != "" {
		hmac, _ = spa.ParseHash(c.SPA.HMAC) // "none" is the zero Hash
	}
	clients, err := spa.LoadKeys(c.SPA.KeyFile, hmac)
	if err != nil {
		return nil, nil, &config.Fault{Place: c.Place, Section: c.Name, Key: "spa_key_file", Err: err}
	}
	for _, client := range clients {
		for _, text := range client.Advice() {
			advice = append(advice, fmt.Sprintf("%s: [%s] spa_key_file: client %s: %s", c.Place, c.Name, client.Name, text))
		}
	}
	s := c.SPA
	d = &spa.Door{
		Name: c.Name, Clients: clients,
		TCP:     slices.Contains(s.Transports, config.TransportTCP),
		HTTP:    slices.Contains(s.Transports, config.TransportHTTP),
		Proxies: s.TrustedProxies, Allow: c.Allow, Deny: c.Deny, AllowInside: s.AllowInside,
		Destination: s.Destination, Open: spaPorts(c.Open), DenyPorts: spaPorts(s.DenyPorts),
		Timeout: c.CmdTimeout, MaxTimeout: s.MaxTimeout, MaxAge: s.MaxAge, RequireUser: s.RequireUser,
		RequireSource: s.RequireSource, Expires: s.Expires, IPv6: s.IPv6,
	}
	for _, r := range s.Ports {
		d.Listen = append(d.Listen, spa.ListenOn(r.First, r.Last)...)
	}
	return d, advice, nil
}

func spaPorts(ports []config.Ports) []spa.PortRange {
	var list []spa.PortRange
	for _, p := range ports {
		list = append(list, spa.PortRange{Proto: p.Proto, First: p.First, Last: p.Last})
	}
	return list
}

// gate is the doors with keys, and who decides on their packets.
type gate struct {
	*spa.Gate
	doors map[string]*door
	ports map[knock.Step]bool // where packets may arrive
}

// newGate returns the gate of the doors with keys; nil if there are none.
func newGate(list []*door, once spa.Once) *gate {
	g := &gate{doors: map[string]*door{}, ports: map[knock.Step]bool{}}
	var keyed []*spa.Door
	for _, d := range list {
		if d.keys == nil {
			continue
		}
		keyed = append(keyed, d.keys)
		if g.doors[d.Name] == nil {
			g.doors[d.Name] = d
		}
		for _, r := range d.keys.Listen {
			for port := int(r.First); port <= int(r.Last); port++ {
				g.ports[knock.Step{Proto: r.Proto, Port: uint16(port)}] = true
			}
		}
	}
	if len(keyed) == 0 {
		return nil
	}
	g.Gate = spa.NewGate(keyed, once)
	return g
}

// requested is what a packet with the right keys opens.
func (g *gate) requested(d spa.Decision) []doors.Opening {
	door := g.doors[d.Door]
	base := doors.Opening{
		Door: door.Name, Occurrence: door.Occurrence, Addr: d.Opening.Addr, Timeout: d.Opening.Timeout,
		Vars: doors.Vars{IP: d.Opening.Addr.String(), Door: door.Name, Client: d.Client,
			Src: d.Src.String(), Dst: d.Dst.String()},
	}
	var list []doors.Opening
	for _, p := range d.Opening.Ports {
		list = append(list, native(base, nftKind, p.String(), p.String()))
	}
	return append(list, commandsFor(base, door, d.Opening.Ports)...)
}

// commandsFor are the openings by command: one for each port if a command
// names it, else one.
func commandsFor(base doors.Opening, d *door, ports []spa.Port) []doors.Opening {
	if o := withCommands(base, d); o.Start == "" {
		return nil
	}
	if !namesPort(d, base.Addr) {
		ports = ports[:1]
	}
	var list []doors.Opening
	for _, p := range ports {
		o := base
		o.Vars.Port, o.Vars.Proto = fmt.Sprint(p.Number), p.Proto.String()
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

// asked is the line that says what somebody with the right keys asks for.
func asked(d spa.Decision) string {
	ports := make([]string, len(d.Opening.Ports))
	for i, p := range d.Opening.Ports {
		ports[i] = p.String()
	}
	text := fmt.Sprintf("%s: %s: client %s asks for %s for %s", d.Src, d.Door, d.Client,
		strings.Join(ports, ", "), d.Opening.Addr)
	if d.Opening.Timeout > 0 {
		text += fmt.Sprintf(" (%.0f s)", d.Opening.Timeout.Seconds())
	}
	return text
}

// errNoStore: replayed packets could not be told from new ones.
var errNoStore = errors.New("doors with spa_key_file need a StateDir that can be written: it keeps what was used")
