package engine

import (
	"net/netip"
	"strconv"

	"knockd/internal/config"
	"knockd/internal/knock"
)

// appendOpenings appends what a knock opens, an opening an action, with everything
// filled in. A door that opens nothing still has one opening, of no action.
func appendOpenings(list []knock.Opening, d *Door, e *knock.Decision, host string) []knock.Opening {
	base := d.openingFor(e.Src)
	base.Host = host
	port := e.Port // that the knock named, else the last one hit
	if port == 0 {
		port = e.Hit.DstPort
	}
	base.Vars.Port, base.Vars.Proto = strconv.Itoa(int(port)), d.protoOf(e.Hit.Proto).String()
	before := len(list)
	for i := range d.Actions {
		a := &d.Actions[i]
		if !a.For.Has(e.Src) {
			continue
		}
		args := a.Args
		if a.Opens == config.OpensNamed {
			args.Port.Port = e.Port
		}
		list = append(list, by(a, base, args))
	}
	if len(list) == before {
		list = append(list, base)
	}
	return list
}

// by returns the opening by an action with these arguments.
func by(a *config.Action, o knock.Opening, args knock.Arguments) knock.Opening {
	o.Action, o.What, o.Args = a.Name, knock.PortNames(a.Ports, ", "), args
	o.Args.Start, o.Args.Stop = o.Vars.Expand(args.Start), o.Vars.Expand(args.Stop)
	return o
}

// protoOf returns the protocol of the step that names the port, else the last
// one's.
func (d *Door) protoOf(last knock.Protocol) knock.Protocol {
	for _, s := range d.Sequence {
		if s.Port == 0 {
			return s.Proto
		}
	}
	return last
}

// openingFor returns an opening of the door for a knocker, or for the prefix
// around it, without what it opens.
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
