package daemon

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/nft"
)

// The guard closes its ports when something is listened on, not before: a
// daemon that does not listen locks nobody out. What it has closed, or has
// found closed, it does not open because an interface goes.

// guardUnheard says what the guard means to those outside while nothing is
// listened on.
func (d *Daemon) guardUnheard() (texts []string) {
	fw := d.firewall.Load()
	if fw == nil || d.hears.Load() {
		return nil
	}
	return unheard(fw.Guarded())
}

func unheard(closed, open []knock.PortRange) (texts []string) {
	if len(closed) > 0 {
		it := "it"
		if several(closed) {
			it = "them"
		}
		texts = append(texts, are(closed)+" closed to all and nothing listens: knockd --cleanup --force opens "+it)
	}
	if len(open) > 0 {
		texts = append(texts, are(open)+" not guarded until something is listened on")
	}
	return texts
}

// are begins a sentence about ports: "tcp/22 is".
func are(ports []knock.PortRange) string {
	if several(ports) {
		return rangeNames(ports) + " are"
	}
	return rangeNames(ports) + " is"
}

func several(ports []knock.PortRange) bool { return len(ports) > 1 || ports[0].First < ports[0].Last }

func rangeNames(ports []knock.PortRange) string {
	var names []string
	for _, p := range ports {
		names = append(names, p.String())
	}
	return strings.Join(names, ", ")
}

// sayGuard warns of a guard whose knockers cannot be heard.
func (d *Daemon) sayGuard() { d.warn(d.guardUnheard()) }

// closeGuard has the guard close what it has left open, outside of the loop,
// once something is listened on.
func (d *Daemon) closeGuard() {
	fw := d.firewall.Load()
	if fw == nil || d.shutting || !d.hears.Load() {
		return
	}
	if _, open := fw.Guarded(); len(open) == 0 {
		return
	}
	d.shutting = true
	d.marking.Go(func() {
		d.shut(fw)
		d.post(func() {
			d.shutting = false
			d.Status(d.status())
		})
	})
}

// The pause before a next try doubles from the least to the most.
const (
	leastPause = time.Second
	mostPause  = 30 * time.Second
)

// shut closes the guard, and tries until that succeeds or the daemon ends.
func (d *Daemon) shut(fw *nft.Firewall) {
	for wait := leastPause; ; wait = min(2*wait, mostPause) {
		err := fw.Shut()
		closed, open := fw.Guarded()
		switch {
		case err == nil && len(open) == 0:
			d.Log.Quiet("the guard closes " + rangeNames(closed))
			return
		case err == nil: // the interface is gone again
			return
		case wait == leastPause:
			d.Log.Warn(fmt.Sprintf("close the guard: %v: trying again", err))
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
	fw := d.firewall.Load()
	if fw == nil {
		return
	}
	closed, open := fw.Guarded()
	switch {
	case len(closed) > 0:
		d.Log.Quiet("the guard keeps closed: " + rangeNames(closed) + " (knockd --cleanup opens them to all)")
	case len(open) > 0 && !d.conf.KeepOnStop:
		if _, err := fw.Ensure(nil); err != nil {
			d.Log.Warn(err.Error())
		}
	}
	fw.Close()
}

// Guard loads the guard of a configuration's native doors, without openings,
// for the time before the daemon starts. It returns the ports that it closes.
func Guard(conf *config.Config) (ports string, warnings []string, err error) {
	if conf.NftMode != config.NftGuard || !hasNative(conf) {
		return "", nil, errors.New("no door with open in nft_mode = guard: nothing to guard")
	}
	fw, err := connect(firewallOptions(conf, nil))
	if err != nil {
		return "", nil, lacking("CAP_NET_ADMIN", err)
	}
	defer fw.Close()
	warnings, err = fw.Ensure(nativeDoors(conf))
	return guarded(conf), warnings, lacking("CAP_NET_ADMIN", err)
}

// Unheard says what it would mean for the ports of a configuration that
// nothing is listened on, and which are closed then, as in "tcp/22 is". Without the
// privilege to look at the guard it says nothing.
func Unheard(conf *config.Config) (texts []string, closed string) {
	if conf.NftMode != config.NftGuard || !hasNative(conf) {
		return nil, ""
	}
	c, o, err := nft.Closed(firewallOptions(conf, nil), nativeDoors(conf))
	if err != nil {
		return nil, ""
	}
	if len(c) > 0 {
		closed = are(c)
	}
	return unheard(c, o), closed
}
