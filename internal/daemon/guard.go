package daemon

import (
	"time"

	"knockd/internal/event"
	"knockd/internal/firewall"
	"knockd/internal/nft"
)

// The guard closes its ports when something is listened on, not before: a
// daemon that does not listen locks nobody out. What it has closed, or has
// found closed, it does not open because an interface goes.

// guardNotListening says what the guard means to those outside while nothing is
// listened on.
func (d *Daemon) guardNotListening() []event.Event {
	fw := d.Firewall.Load()
	if fw == nil || d.capturing.Load() {
		return nil
	}
	closed, open := fw.Guarded()
	if d.trial.state != nil && !d.trial.running() { // open because of that
		open = nil
	}
	return firewall.NotListening(closed, open)
}

// closeGuard has the guard close what it has left open, outside of the loop,
// once something is listened on.
func (d *Daemon) closeGuard() {
	fw := d.Firewall.Load()
	if fw == nil || d.closingGuard || !d.capturing.Load() {
		return
	}
	if _, open := fw.Guarded(); len(open) == 0 {
		return
	}
	d.closingGuard = true
	d.background.Go(func() {
		d.closeUntilDone(fw)
		d.post(func() {
			d.closingGuard = false
			d.Status(d.status())
		})
	})
}

// The pause before a next try doubles from the least to the most.
const (
	leastPause = time.Second
	mostPause  = 30 * time.Second
)

// closeUntilDone closes the guard, and tries until that succeeds or the daemon ends.
func (d *Daemon) closeUntilDone(fw *nft.Firewall) {
	for wait := leastPause; ; wait = min(2*wait, mostPause) {
		err := fw.Shut()
		closed, open := fw.Guarded()
		switch {
		case err == nil && len(open) == 0:
			d.Log.Event(event.GuardClosed{Ports: closed})
			return
		case err == nil: // the interface is gone again
			return
		case wait == leastPause:
			d.Log.Event(event.GuardFailed{Err: err})
		}
		select {
		case <-time.After(wait):
		case <-d.ended:
			return
		}
	}
}

// leaveFirewall lets go of the firewall and says what stays. A guard that has
// closed nothing does not stay.
func (d *Daemon) leaveFirewall() {
	d.leaveNAT()
	fw := d.Firewall.Load()
	if fw == nil {
		return
	}
	closed, open := fw.Guarded()
	switch {
	case len(closed) > 0:
		d.Log.Event(event.GuardClosed{Ports: closed, Stays: true})
	case len(open) > 0 && !d.conf.KeepOnStop:
		if _, err := fw.Ensure(nil); err != nil {
			d.Log.Event(event.Fault{Err: err})
		}
	}
	fw.Close()
}
