package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"knockd/internal/config"
	"knockd/internal/knock"
)

// ByHand is an opening that no knock or message leads to: somebody asks for it.
type ByHand struct {
	For     netip.Prefix      // masked: an address or a network
	Ports   []knock.PortRange // that a knock or message would name: single ones
	Timeout time.Duration     // 0: the door's own
	UID     uint32            // who asks
	Force   bool              // against what the door allows
}

// ErrForce is the error of what takes force.
var ErrForce = errors.New("it takes force")

// longByHand is how long a door may be opened by hand without force.
const longByHand = 24 * time.Hour

// ByHand returns what opens as a knock would have opened it. The error says why
// it cannot, or wraps ErrForce.
func (d *Door) ByHand(h ByHand) ([]knock.Opening, error) {
	if why := d.forbids(h); why != "" && !h.Force {
		return nil, fmt.Errorf("%s: %w", why, ErrForce)
	}
	base := d.openingFor(h.For.Addr())
	if !h.For.IsSingleIP() {
		if err := d.opensNetwork(h.For); err != nil {
			return nil, err
		}
		base.Vars.IP = h.For.String()
	}
	if base.UID = &h.UID; h.Timeout > 0 {
		base.Timeout = h.Timeout
	}
	ports, err := d.named(h.Ports)
	if err != nil {
		return nil, err
	}
	list := d.openings(base, ports)
	if len(list) == 0 {
		return nil, fmt.Errorf("it opens nothing for %v", h.For.Addr())
	}
	return list, nil
}

// forbids says which rule an opening by hand is against; "" if none.
func (d *Door) forbids(h ByHand) string {
	allow := d.Allow
	if d.SPA != nil && len(allow) > 0 {
		allow = slices.Concat(allow, d.SPA.AllowInside)
	}
	covers := func(p netip.Prefix) bool { return p.Bits() <= h.For.Bits() && p.Contains(h.For.Addr()) }
	switch {
	case !h.For.IsSingleIP():
		return h.For.String() + " is a network"
	case len(allow) > 0 && !slices.ContainsFunc(allow, covers):
		return h.For.Addr().String() + " is not in its allow"
	case slices.ContainsFunc(d.Deny, h.For.Overlaps):
		return h.For.Addr().String() + " is in its deny"
	case h.Timeout > longByHand:
		return "more than a day"
	}
	return ""
}

// opensNetwork returns an error unless the door can open for all of a network:
// what opens without a command opens for networks of one size.
func (d *Door) opensNetwork(n netip.Prefix) error {
	key, bits := "open_prefix_4", d.OpenPrefix4
	if n.Addr().Is6() {
		key, bits = "open_prefix_6", d.OpenPrefix6
	}
	native := slices.ContainsFunc(d.Actions, func(a config.Action) bool { return a.For.Has(n.Addr()) && a.Args.Start == "" })
	if native && bits != n.Bits() {
		return fmt.Errorf("it opens for networks of %d bits alone, as %s says", bits, key)
	}
	return nil
}

// errPorts is the error of ports that nobody could name to the door.
var errPorts = errors.New("a knock at it names no port")

// named returns the ports that an opening by hand is about: those given or, of an
// SPA door, all that it opens.
func (d *Door) named(given []knock.PortRange) ([]knock.Step, error) {
	byKnock := slices.ContainsFunc(d.Actions, func(a config.Action) bool { return a.Opens == config.OpensNamed }) || len(d.OpenPorts) > 0
	switch {
	case d.keys != nil && len(given) == 0:
		return d.allPorts()
	case d.keys == nil && !byKnock && len(given) > 0:
		return nil, errPorts
	case byKnock && len(given) == 0:
		return nil, errors.New("a knock at it names the port: name one")
	case d.keys == nil && len(given) > 1:
		return nil, errors.New("a knock at it names one port, not several")
	}
	var ports []knock.Step
	for _, g := range given {
		if g.Len() != 1 {
			return nil, fmt.Errorf("%v is more than one port", g)
		}
		p := knock.Step{Proto: g.Proto, Port: g.First}
		switch {
		case d.keys == nil:
			p.Proto = d.protoOf(knock.TCP)
		case p.Proto == 0:
			p.Proto = knock.TCP
		}
		if err := d.permits(p); err != nil {
			return nil, err
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// maxPorts is how many ports are opened by hand at once.
const maxPorts = 16

// allPorts returns what a message could ask for that opens without a command.
func (d *Door) allPorts() (ports []knock.Step, err error) {
	for _, r := range d.Open {
		for p := int(r.First); p <= int(r.Last); p++ {
			step := knock.Step{Proto: r.Proto, Port: uint16(p)}
			switch {
			case d.permits(step) != nil:
			case len(ports) == maxPorts:
				return nil, fmt.Errorf("a message could ask it for more than %d ports: name those that it is to open", maxPorts)
			default:
				ports = append(ports, step)
			}
		}
	}
	if len(ports) == 0 {
		return nil, errors.New("a message names the port: name one")
	}
	return ports, nil
}

// permits returns an error unless a knock or message could have the port opened.
func (d *Door) permits(p knock.Step) error {
	if d.keys != nil {
		return d.keys.Permits(p)
	}
	if !slices.ContainsFunc(d.OpenPorts, func(r knock.PortRange) bool { return r.Has(p) }) {
		return fmt.Errorf("%d is not in its open_ports", p.Port)
	}
	return nil
}

// openings returns what the door opens, with these ports named.
func (d *Door) openings(base knock.Opening, ports []knock.Step) (list []knock.Opening) {
	last := knock.Step{}
	if n := len(d.Sequence); n > 0 {
		last = d.Sequence[n-1]
	}
	if len(ports) > 0 {
		last = ports[0]
	}
	if last.Port != 0 {
		base.Vars.Port, base.Vars.Proto = strconv.Itoa(int(last.Port)), last.Proto.String()
	}
	for i := range d.Actions {
		a := &d.Actions[i]
		switch {
		case !a.For.Has(base.Addr), a.Opens == config.OpensNAT:
		case a.Opens == config.OpensNamed:
			for _, p := range ports {
				args := a.Args
				args.Port.Port = p.Port
				list = append(list, by(a, base, args))
			}
		case a.Opens == config.OpensAsked:
			for _, p := range ports {
				if d.keys.Opens(p) {
					args := a.Args
					args.Port = p
					list = append(list, by(a, base, args))
				}
			}
		case d.keys != nil:
			list = appendFor(list, a, base, ports)
		default:
			list = append(list, by(a, base, a.Args))
		}
	}
	return list
}
