package daemon

import (
	"net/netip"

	"knockd/internal/doors"
)

// openingsOf is what opening a door means for a knocker: native ones first,
// then the commands of the knocker's address family, with everything filled
// in. A door that opens nothing still has one opening, of no command.
func openingsOf(d *door, knocker netip.Addr, host string) []doors.Opening {
	base := doors.Opening{
		Door:       d.Name,
		Occurrence: d.Occurrence,
		Addr:       knocker,
		Host:       host,
		Vars:       doors.Vars{IP: knocker.String(), Door: d.Name},
		Timeout:    d.CmdTimeout,
	}
	var list []doors.Opening
	if len(d.Open) > 0 {
		list = append(list, native(base, nftKind, portNames(d.Open), ""))
	}
	if d.XtRecent != "" {
		list = append(list, native(base, recentKind, "list "+d.XtRecent, d.XtRecent))
	}
	if o := withCommands(base, d); o.Start != "" || len(list) == 0 {
		list = append(list, o)
	}
	return list
}

func native(o doors.Opening, kind, what, data string) doors.Opening {
	o.Kind, o.What, o.Data = kind, what, data
	return o
}

func withCommands(o doors.Opening, d *door) doors.Opening {
	start, stop := d.StartCommand, d.StopCommand
	if !o.Addr.Is4() {
		start, stop = d.StartCommand6, d.StopCommand6
	}
	o.Start, o.Stop = o.Vars.Expand(start), o.Vars.Expand(stop)
	o.StartLimit = d.StartLimit
	return o
}
