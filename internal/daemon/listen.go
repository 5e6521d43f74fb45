package daemon

import (
	"fmt"
	"strings"
	"time"

	"knockd/internal/capture"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// listen opens the capture. Interfaces that are not there are waited for.
func (d *Daemon) listen() error {
	source, err := d.follow(d.filterSpec())
	if err != nil {
		return Lacking("CAP_NET_RAW", err)
	}
	d.source = source
	d.listens(source.Now())
	return nil
}

// listens takes in what is listened on from now on: the tracker learns the
// local addresses, and live attempts go on.
func (d *Daemon) listens(now capture.Listening) {
	d.listening = now
	d.since = listensSince(d.since, now.On, d.Now().Truncate(time.Millisecond))
	d.capturing.Store(now.Active())
	d.engine.SetLocal(now.Local)
}

// sayListening writes how it begins: what is listened on, in knockd 0.8's
// words, and what is waited for.
func (d *Daemon) sayListening() {
	d.Log.Event(event.Started{Interfaces: d.listening.On})
	if len(d.listening.On) > 0 {
		d.verbosely(event.Listening{Interfaces: d.listening.On})
	}
	d.logAll(d.listening.Waits())
	d.logAll(d.guardNotListening())
	d.Status(d.status())
}

// changed takes in a change of the network and says so.
func (d *Daemon) changed(now capture.Listening) {
	was := d.capturing.Load()
	d.listens(now)
	d.logAll(now.News)
	if was {
		d.logAll(d.guardNotListening())
	}
	d.closeGuard()
	d.Status(d.status())
}

// status says in a few words what the daemon does.
func (d *Daemon) status() string {
	var parts []string
	if len(d.listening.On) > 0 {
		parts = append(parts, "listening on "+strings.Join(d.listening.On, ", "))
	}
	parts = append(parts, event.Texts(append(d.listening.Waits(), d.guardNotListening()...))...)
	if text := d.trial.text(); text != "" {
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// neverListened returns the error of a daemon that never had an interface to
// listen on.
func (d *Daemon) neverListened() error {
	if d.source.WasActive() {
		return nil
	}
	return fmt.Errorf("never listened: still %s", strings.Join(event.Texts(d.listening.Waits()), "; "))
}

// sayDrops says how many packets the kernel had to drop, if it did.
func (d *Daemon) sayDrops() {
	if d.source.HasDrops() {
		if total, err := d.source.Drops(); err == nil {
			d.drops.Total = total
		}
	}
	if _, more := d.drops.Due(); more {
		d.sayLost(d.drops.Take(d.Now()))
	}
}

func (d *Daemon) sayLost(packets uint64) {
	if packets > 0 {
		d.Log.Event(event.PacketsLost{Packets: packets})
	}
}

// sayRest says what else would be said later.
func (d *Daemon) sayRest() {
	d.sayDrops()
	d.sayLost(d.drops.Rest(d.Now()))
	d.engine.SayRest(d.Now())
}

// filterSpec describes what the doors can use, for the kernel's filter.
func (d *Daemon) filterSpec() *capture.FilterSpec {
	w := &capture.FilterSpec{OnlyIPv4: d.OnlyIPv4, AnyFlags: d.engine.AnyFlags(), Ring: d.Limits.Ring}
	for _, door := range d.engine.Doors() {
		w.AddDoor(&door.Door)
		if keys := door.Keys(); keys != nil {
			w.Matches = append(w.Matches, keyMatches(keys)...)
		}
	}
	return w
}

// setFilter has the kernel let through what the doors can use now.
func (d *Daemon) setFilter() {
	if err := d.source.SetFilter(d.filterSpec()); err != nil {
		d.Log.Event(event.Fault{Err: fmt.Errorf("change the filter: %w", err)})
	}
}

// keyMatches returns the packets that may hold a message for an SPA door.
func keyMatches(d *spa.Door) []capture.Match {
	var list []capture.Match
	for _, r := range d.Listen {
		m := capture.Match{Proto: r.Proto, First: r.First, Last: r.Last, Payload: spa.MaxPayload}
		if r.Proto == knock.UDP {
			m.MinPayload, m.MaxPayload, m.Begins = spa.MinPayload, spa.MaxPayload, spa.FirstOctets
		}
		if r.Proto == knock.TCP && !d.TCP && !d.HTTP {
			m.Flags.Set = knock.SYN // a SYN's own payload
		}
		list = append(list, m)
	}
	return list
}
