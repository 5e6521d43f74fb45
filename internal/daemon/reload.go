package daemon

import (
	"errors"
	"fmt"
	"strings"

	"knockd/internal/check"
	"knockd/internal/config"
	"knockd/internal/control"
	"knockd/internal/engine"
	"knockd/internal/event"
	"knockd/internal/knock"
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
	d.asked, d.askedNext = d.askedNext, nil
	d.Log.Event(event.Reloading{File: d.ConfigFile})
	d.read()
}

// reloadFor is reload for one who waits for the outcome, which must have a place
// for it.
func (d *Daemon) reloadFor(outcome chan<- reloadOutcome) {
	d.askedNext = append(d.askedNext, outcome)
	d.reload()
}

// reloadOutcome is what became of a reload.
type reloadOutcome struct {
	doors    int
	warnings []string
	err      error
}

// sayOutcome tells what became of a reload to those who wait for it.
func (d *Daemon) sayOutcome(o reloadOutcome) {
	d.lastReload = &control.LastReload{At: d.Now(), Taken: o.err == nil}
	if o.err != nil {
		d.lastReload.Faults = strings.Split(strings.TrimSpace(o.err.Error()), "\n")
	}
	for _, outcome := range d.asked {
		outcome <- o
	}
	d.asked = nil
}

// read is the reading of a reload.
func (d *Daemon) read() {
	begun := d.oneTime.begun
	d.background.Go(func() {
		conf, doors, doubts, err := d.prepare()
		d.post(func() {
			d.unlessMarked(begun, func() { d.reopened(begun, conf, doors, doubts, err) })
		})
	})
}

// unlessMarked goes on with what was read since so many one-time lines were
// marked. A line that is being marked just then has it read once more, when it
// is marked: it might have been read as unused.
func (d *Daemon) unlessMarked(begun int, goOn func()) {
	switch {
	case d.oneTime.running > 0:
		d.oneTime.awaited = true
	case d.oneTime.begun != begun:
		d.read()
	default:
		goOn()
	}
}

// reopened opens the log file again, before anything is said of what was read.
func (d *Daemon) reopened(begun int, conf *config.Config, doors []*engine.Door, doubts []event.Event, err error) {
	d.background.Go(func() {
		d.ReopenLog(conf)
		d.post(func() {
			d.unlessMarked(begun, func() {
				d.sayOutcome(d.reloaded(conf, doors, doubts, err))
				d.trim()
				d.goOn()
			})
		})
	})
}

// goOn ends a reload, and begins the next one if one was asked for.
func (d *Daemon) goOn() {
	if d.reloading = false; d.again {
		d.again = false
		d.reload()
	}
}

// prepare reads the configuration and makes all ready that it needs, the
// firewall last: what comes before may find a fault.
func (d *Daemon) prepare() (conf *config.Config, doors []*engine.Door, doubts []event.Event, err error) {
	if conf, err = d.trial.read(d); err != nil {
		return nil, nil, nil, err
	}
	if err = d.refuse(conf); err != nil {
		return nil, nil, nil, err
	}
	if doors, doubts, err = engine.Prepare(conf); err != nil {
		return nil, nil, nil, err
	}
	if d.used == nil {
		if err = d.openOnce(doors); err != nil {
			return nil, nil, nil, err
		}
	}
	if d.trial.length > 0 {
		if err = d.trial.note(d, conf); err != nil {
			return nil, nil, nil, err
		}
	}
	if err = d.ensure(conf, d.trial.next); err != nil {
		return nil, nil, nil, errors.Join(err, d.trial.forget(d))
	}
	return conf, doors, append(doubts, check.Doubts(conf, d.Actions)...), nil
}

func (d *Daemon) reloaded(conf *config.Config, doors []*engine.Door, doubts []event.Event, err error) reloadOutcome {
	if err == nil {
		err = d.openOnce(doors)
	}
	if err != nil {
		d.refused()
		d.Log.Event(event.ReloadRefused{Err: err})
		return reloadOutcome{err: err}
	}
	doubts = append(event.Findings(conf.Warnings), doubts...)
	d.logAll(doubts)
	d.conf = conf
	d.Log.SetRate(conf.LogRate)
	d.manager.SetKeep(conf.KeepOnStop)
	d.history.Set(historySettings(conf))
	d.swap(doors)
	d.taken()
	d.logAll(d.guardNotListening())
	d.closeGuard()
	d.Status(d.status())
	d.desk.readmit(conf)
	d.Log.Event(event.Reloaded{Doors: len(doors)})
	return reloadOutcome{doors: len(doors), warnings: event.Texts(doubts)}
}

// restartError says what only a restart can change.
type restartError struct {
	file    string
	options []string
}

func (e *restartError) Error() string {
	return fmt.Sprintf("%s: only a restart can change: %s", e.file, strings.Join(e.options, ", "))
}

// refuse names the options that cannot change while the daemon runs.
func (d *Daemon) refuse(conf *config.Config) error {
	_, changed := d.conf.OptionsChanged(conf)
	switch need := d.neededBy(conf); {
	case !d.limited:
	case need == allCapabilities:
		changed = append(changed, "the first start_command (capabilities were given up)")
	case need&^d.neededBy(d.conf) != 0:
		changed = append(changed, "the first native door (capabilities were given up)")
	}
	if len(changed) == 0 {
		return nil
	}
	return &restartError{d.ConfigFile, changed}
}

// swap puts the doors of a new configuration in place of the old ones. A door
// that is gone closes at once for everybody.
func (d *Daemon) swap(doors []*engine.Door) {
	gone := d.engine.Swap(d.conf, doors, d.once())
	d.setFilter()
	if len(gone) > 0 {
		d.manager.Close(func(o *knock.Opening) bool { return gone[o.Door] }, "door removed")
	}
}
