package daemon

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

// listen opens the capture on the interfaces and tells the tracker which
// addresses are local.
func (d *Daemon) listen() error {
	local, err := AddressesOf(d.Interfaces)
	if err != nil {
		return err
	}
	indexes, err := indexesOf(d.Interfaces)
	if err != nil {
		return err
	}
	source, err := capture.Listen(d.listening(), d.wanted(), d.Log.Warn)
	if err != nil {
		return err
	}
	if err := source.Bind(indexes); err != nil {
		source.Close()
		return err
	}
	d.source = source
	d.decisions.tracker.SetLocal(local)
	return nil
}

// indexesOf returns the indexes of the interfaces; nil stands for all.
func indexesOf(names []string) ([]int, error) {
	if slices.Contains(names, config.AnyInterface) {
		return nil, nil
	}
	var indexes []int
	for _, name := range names {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return nil, fmt.Errorf("find the interface %s: %w", name, err)
		}
		indexes = append(indexes, i.Index)
	}
	return indexes, nil
}

// listening names what is listened on.
func (d *Daemon) listening() string { return strings.Join(d.Interfaces, ", ") }

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
