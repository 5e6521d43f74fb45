package engine

import (
	"net/netip"
	"strconv"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// The actions that no key names: knock.Opening.Action.
const (
	nftAction = "nft" // opens ports
	natAction = "nat" // leads a port elsewhere
)

// appendOpenings appends what a knock opens: native ones first, then the
// commands of the knocker's address family, with everything filled in. A door
// that opens nothing still has one opening, of no command.
func appendOpenings(list []knock.Opening, d *Door, e *knock.Decision, host string) []knock.Opening {
	base := d.openingFor(e.Src)
	base.Host = host
	port := e.Port // that the knock named, else the last one hit
	if port == 0 {
		port = e.Hit.DstPort
	}
	base.Vars.Port, base.Vars.Proto = strconv.Itoa(int(port)), d.protoOf(e).String()
	before := len(list)
	for _, proto := range d.OpenNamed {
		port := knock.Step{Proto: proto, Port: e.Port}
		list = append(list, native(base, nftAction, port.Ports().String(), knock.Arguments{Port: port}))
	}
	if len(d.Open) > 0 {
		list = append(list, native(base, nftAction, event.Ports(d.Open), knock.Arguments{}))
	}
	for _, a := range d.Actions {
		list = append(list, native(base, a.Key, a.String(), knock.Arguments{Value: a.Value}))
	}
	if o := withCommands(base, d); o.Args.Start != "" || len(list) == before {
		list = append(list, o)
	}
	return list
}

// protoOf is the protocol of the step that named the port, else of the last.
func (d *Door) protoOf(e *knock.Decision) knock.Protocol {
	for _, s := range e.Door.Sequence {
		if s.Port == 0 {
			return s.Proto
		}
	}
	return e.Hit.Proto
}

// openingFor is an opening of the door for a knocker, or for the prefix around
// it, without what it opens.
func (d *Door) openingFor(knocker netip.Addr) knock.Opening {
	ip, bits := knocker.String(), d.OpenPrefix4
	if !knocker.Is4() {
		bits = d.OpenPrefix6
	}
	if bits > 0 && bits < knocker.BitLen() {
		if p, err := knocker.Prefix(bits); err == nil {
			ip = p.String()
		}
	}
	return knock.Opening{
		Door: d.ID(), Addr: knocker,
		Vars: knock.Vars{IP: ip, Door: d.Name}, Timeout: d.CmdTimeout,
	}
}

func native(o knock.Opening, action, what string, args knock.Arguments) knock.Opening {
	args.Version = 1
	o.Action, o.What, o.Args = action, what, args
	return o
}

func withCommands(o knock.Opening, d *Door) knock.Opening {
	start, stop := d.StartCommand, d.StopCommand
	if !o.Addr.Is4() {
		start, stop = d.StartCommand6, d.StopCommand6
	}
	o.Args.Start, o.Args.Stop = o.Vars.Expand(start), o.Vars.Expand(stop)
	o.Args.StartLimit = d.StartLimit
	return o
}
