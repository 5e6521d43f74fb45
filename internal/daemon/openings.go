package daemon

import (
	"net/netip"
	"strconv"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/openings"
)

// appendOpenings appends what a knock opens: native ones first, then the
// commands of the knocker's address family, with everything filled in. A door
// that opens nothing still has one opening, of no command.
func appendOpenings(list []openings.Opening, d *door, e *knock.Decision, host string) []openings.Opening {
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
		list = append(list, native(base, nftKind, port.Ports().String(), knock.Arguments{Port: port}))
	}
	if len(d.Open) > 0 {
		list = append(list, native(base, nftKind, event.Ports(d.Open), knock.Arguments{}))
	}
	for _, a := range d.Actions {
		list = append(list, native(base, a.Key, a.String(), argumentsOf(a)))
	}
	if o := withCommands(base, d); o.Start != "" || len(list) == before {
		list = append(list, o)
	}
	return list
}

// protoOf is the protocol of the step that named the port, else of the last.
func (d *door) protoOf(e *knock.Decision) knock.Protocol {
	for _, s := range e.Door.Sequence {
		if s.Port == 0 {
			return s.Proto
		}
	}
	return e.Hit.Proto
}

// openingFor is an opening of the door for a knocker, or for the prefix around
// it, without what it opens.
func (d *door) openingFor(knocker netip.Addr) openings.Opening {
	ip, bits := knocker.String(), d.OpenPrefix4
	if !knocker.Is4() {
		bits = d.OpenPrefix6
	}
	if bits > 0 && bits < knocker.BitLen() {
		if p, err := knocker.Prefix(bits); err == nil {
			ip = p.String()
		}
	}
	return openings.Opening{
		Door: d.ID(), Addr: knocker,
		Vars: openings.Vars{IP: ip, Door: d.Name}, Timeout: d.CmdTimeout,
	}
}

// closeOther ends the knocker's openings of the door that this one closes.
func closeOther(out outcomes, at time.Time, d *door, knocker netip.Addr) {
	if d.Close == "" {
		return
	}
	out.close(at, knocker, func(o *openings.Opening) bool { return o.Door.Name == d.Close }, "knock at "+d.Name)
}

func native(o openings.Opening, kind, what string, args knock.Arguments) openings.Opening {
	args.Version = 1
	o.Kind, o.What, o.Args = kind, what, args
	return o
}

func withCommands(o openings.Opening, d *door) openings.Opening {
	start, stop := d.StartCommand, d.StopCommand
	if !o.Addr.Is4() {
		start, stop = d.StartCommand6, d.StopCommand6
	}
	o.Start, o.Stop = o.Vars.Expand(start), o.Vars.Expand(stop)
	o.StartLimit = d.StartLimit
	return o
}
