package daemon

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/openings"
)

// reload reads the configuration again, outside of the loop, and swaps it in
// at once if it has no fault. The log file is closed and opened again in any
// case: that is what logrotate asks for.
func (d *Daemon) reload() {
	if d.reloading {
		d.again = true
		return
	}
	d.reloading = true
	d.Log.Event(event.Reloading{File: d.ConfigFile})
	d.read()
}

// read is the reading of a reload.
func (d *Daemon) read() {
	begun := d.marks.begun
	d.marking.Go(func() {
		conf, list, doubts, err := d.readied()
		d.post(func() {
			d.unlessMarked(begun, func() { d.reopened(begun, conf, list, doubts, err) })
		})
	})
}

// unlessMarked goes on with what was read since so many one-time lines were
// marked. A line that is being marked just then has it read once more, when it
// is marked: it might have been read as unused.
func (d *Daemon) unlessMarked(begun int, goOn func()) {
	switch {
	case d.marks.running > 0:
		d.marks.awaited = true
	case d.marks.begun != begun:
		d.read()
	default:
		goOn()
	}
}

// reopened opens the log file again, before anything is said of what was read.
func (d *Daemon) reopened(begun int, conf *config.Config, list []*door, doubts []event.Event, err error) {
	d.marking.Go(func() {
		d.ReopenLog(conf)
		d.post(func() {
			d.unlessMarked(begun, func() {
				d.reloaded(conf, list, doubts, err)
				d.trim()
				if d.reloading = false; d.again {
					d.again = false
					d.reload()
				}
			})
		})
	})
}

// readied reads the configuration and makes all ready that it needs, the
// firewall last: what comes before may find a fault.
func (d *Daemon) readied() (conf *config.Config, list []*door, doubts []event.Event, err error) {
	if conf, err = d.Load(); err != nil {
		return nil, nil, nil, err
	}
	if err = d.refuse(conf); err != nil {
		return nil, nil, nil, err
	}
	if list, doubts, err = Prepare(conf); err != nil {
		return nil, nil, nil, err
	}
	if d.used == nil {
		if err = d.openOnce(list); err != nil {
			return nil, nil, nil, err
		}
	}
	if err = d.ensure(conf); err != nil {
		return nil, nil, nil, err
	}
	return conf, list, append(doubts, examine(conf)...), nil
}

func (d *Daemon) reloaded(conf *config.Config, list []*door, doubts []event.Event, err error) {
	if err == nil {
		err = d.openOnce(list)
	}
	if err != nil {
		d.Log.Event(event.ReloadRefused{Err: err})
		return
	}
	d.tellAll(append(event.Findings(conf.Warnings), doubts...))
	if changed, _ := d.conf.OptionsChanged(conf); slices.Contains(changed, "max_failures") || slices.Contains(changed, "never_ignore") {
		d.decisions.limitFailures(conf)
	}
	d.decisions.tellFailures(conf)
	d.conf = conf
	d.Log.SetRate(conf.LogRate)
	d.manager.SetKeep(conf.KeepOnStop)
	d.swap(list)
	d.tellAll(d.guardUnheard())
	d.closeGuard()
	d.Status(d.status())
}

// refuse names the options that cannot change while the daemon runs.
func (d *Daemon) refuse(conf *config.Config) error {
	_, changed := d.conf.OptionsChanged(conf)
	if d.limited && hasCommands(conf) {
		changed = append(changed, "the first start_command (capabilities were given up)")
	}
	if d.limited && neededBy(conf)&^neededBy(d.conf) != 0 {
		changed = append(changed, "the first native door (capabilities were given up)")
	}
	if len(changed) == 0 {
		return nil
	}
	return fmt.Errorf("%s: only a restart can change: %s", d.ConfigFile, strings.Join(changed, ", "))
}

// swap puts the doors of a new configuration in place of the old ones. A door
// that is written as before keeps its attempts; a door that is gone closes at
// once for everybody.
func (d *Daemon) swap(list []*door) {
	old := map[knock.DoorID]*door{}
	for _, was := range d.decisions.doors.list {
		old[was.ID()] = was
	}
	for i, now := range list {
		id := now.ID()
		if was := old[id]; was != nil && was.same(now) {
			list[i] = was
		}
		delete(old, id)
	}
	d.decisions.doors.set(list, d.decisions.tracker)
	d.decisions.gate = d.gateOf(list)
	d.setFilter()
	if len(old) > 0 {
		d.manager.Close(func(o *openings.Opening) bool {
			return old[o.Door] != nil
		}, "door removed")
	}
}

// same says whether a door was written as before, and waits for the same
// sequence, or has the same keys.
func (d *door) same(o *door) bool {
	if !reflect.DeepEqual(d.keys, o.keys) {
		return false
	}
	if (d.oneTime == nil) != (o.oneTime == nil) {
		return false
	}
	if d.oneTime == nil {
		return d.Door.Equal(o.Door)
	}
	return d.oneTime.line.Same(o.oneTime.line) && d.Door.Equal(o.Door)
}
