package daemon

import "knockd/internal/event"

// leaveNAT lets go of what leads elsewhere. Without openings it is of no use.
func (d *Daemon) leaveNAT() {
	fw := d.NAT.Load()
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
