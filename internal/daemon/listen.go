package daemon

import (
	"errors"
	"fmt"
	"strings"

	"knockd/internal/capture"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// ErrNeverListened: no interface ever came of those waited for.
var ErrNeverListened = errors.New("stopped before there was an interface to listen on")

// listen opens the capture on the interfaces, as far as they are there, and
// tells the tracker which addresses are local.
func (d *Daemon) listen() error {
	source, err := capture.Follow(d.Interfaces, d.wanted(), d.Log.Warn)
	if err != nil {
		return err
	}
	d.source = source
	d.decisions.tracker.SetLocal(source.Now().Local)
	return nil
}

// begin says what is listened on, and what is waited for.
func (d *Daemon) begin(now capture.Listening) {
	if len(now.On) > 0 {
		d.Log.Quiet("starting up, listening on " + strings.Join(now.On, ", "))
		d.verbosely("listening on %s...", strings.Join(now.On, ", "))
	} else {
		d.Log.Quiet("starting up")
	}
	for _, text := range now.News {
		if !strings.HasPrefix(text, "listening") {
			d.Log.Warn(text)
		}
	}
	d.Status(state(now))
}

// follow takes over what is listened on after a change.
func (d *Daemon) follow(now capture.Listening) {
	d.decisions.tracker.SetLocal(now.Local)
	for _, text := range now.News {
		d.Log.Warn(text)
	}
	d.Status(state(now))
}

// state is what the daemon does, in a few words.
func state(now capture.Listening) string {
	var parts []string
	if len(now.On) > 0 {
		parts = append(parts, "listening on "+strings.Join(now.On, ", "))
	}
	if len(now.Missing) > 0 {
		parts = append(parts, "waiting for interface "+strings.Join(now.Missing, ", "))
	}
	return strings.Join(parts, "; ")
}

// wanted describes what the doors can use, for the kernel's filter.
func (d *Daemon) wanted() *capture.Wanted {
	w := &capture.Wanted{OnlyIPv4: d.OnlyIPv4}
	for _, door := range d.decisions.doors.list {
		w.AddDoor(&door.Door.Door)
		if door.keys != nil {
			w.Matches = append(w.Matches, keyMatches(door.keys)...)
		}
	}
	return w
}

// setFilter has the kernel let through what the doors can use now.
func (d *Daemon) setFilter() {
	if err := d.source.SetFilter(d.wanted()); err != nil {
		d.Log.Warn(fmt.Sprintf("change the filter: %v", err))
	}
}

// keyMatches are the packets that may hold a message for a door with keys.
func keyMatches(d *spa.Door) []capture.Match {
	var list []capture.Match
	for _, r := range d.Listen {
		m := capture.Match{Proto: r.Proto, First: r.First, Last: r.Last, Payload: spa.MaxPayload}
		if r.Proto == knock.TCP && !d.TCP && !d.HTTP {
			m.Flags.Set = knock.SYN // a SYN's own payload
		}
		list = append(list, m)
	}
	return list
}
