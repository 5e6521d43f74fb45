package daemon

import (
	"fmt"
	"net/netip"
	"slices"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/openings"
	"knockd/internal/spa"
)

// leaveNAT lets go of what leads elsewhere. Without openings it is of no use.
func (d *Daemon) leaveNAT() {
	fw := d.nat.Load()
	if fw == nil {
		return
	}
	if !d.conf.KeepOnStop {
		if _, err := fw.Ensure(nil); err != nil {
			d.Log.Event(event.Fault{Err: err})
		}
	}
	fw.Close()
}

// opened are the ports of this host that an opening opens without a command:
// those asked for that the door opens so, or with NAT what the packets need that a port leads elsewhere.
func (g *gate) opened(d *spa.Door, o *spa.Grant) []knock.Step {
	if o.NAT == nil {
		return slices.DeleteFunc(slices.Clone(o.Ports), func(p knock.Step) bool { return !d.Opens(p) })
	}
	var ports []knock.Step
	if g.early {
		ports = append(ports, o.Ports[0])
	}
	if inner := (knock.Step{Proto: o.Ports[0].Proto, Port: o.NAT.Port}); o.Local && (!g.early || inner != o.Ports[0]) {
		ports = append(ports, inner)
	}
	return ports
}

// translated is the opening that leads a port elsewhere.
func translated(base openings.Opening, o *spa.Grant) openings.Opening {
	to := netip.AddrPortFrom(o.NAT.Addr, o.NAT.Port)
	p := o.Ports[0]
	return native(base, natKind, fmt.Sprintf("%v to %v", p.Ports(), to), knock.Arguments{Port: p, To: to})
}

// possible says why an opening that the door allows cannot be, "" if it can.
func possible(out outcomes, o *spa.Grant) string {
	if o.Local && !out.isLocal(o.NAT.Addr) {
		return fmt.Sprintf("it asks for local NAT to %v, which is not an address of this host", o.NAT.Addr)
	}
	return ""
}
