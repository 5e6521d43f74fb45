package config

import (
	"fmt"
	"slices"
	"strings"
)

// fault returns a fault of one of the door's keys, or of the door itself.
func (d *rawDoor) fault(key string, err error) *Fault {
	place, ok := d.given.find(key)
	if !ok {
		place = d.Place
	}
	return &Fault{place, d.Name, key, err}
}

// has reports whether one of the keys was given.
func (d *rawDoor) has(keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { _, ok := d.given.find(key); return ok })
}

// finish checks what keys mean together when all are read, and fills in what
// follows from others.
func (p *parser) finish() {
	if p.with.Advice {
		p.config.places = map[*Door]keyPlaces{}
	}
	for _, d := range p.doors {
		p.finishDoor(d)
		p.config.Doors = append(p.config.Doors, d.Door)
		if p.with.Advice {
			p.config.places[d.Door] = d.given
		}
	}
	if len(p.doors) == 0 {
		p.warn(&Fault{Place: Place{File: p.main}, Err: fmt.Errorf("no door: nothing can ever open")})
	}
	p.checkSetOptions()
	p.checkRescue()
	if p.with.Advice {
		p.adviseOptions()
		p.adviseSharedKnocks()
	}
}

func (p *parser) finishDoor(d *rawDoor) {
	p.inherit(d)
	p.checkNeeds(d)
	if d.has(spaKeyFile) {
		d.SPA = d.settings()
		p.checkSPA(d)
	} else {
		p.checkSequence(d)
		p.checkWild(d)
		p.checkStrict(d)
	}
	d.listActions()
	p.checkCommands(d)
	p.checkNative(d)
	p.checkClose(d)
	if p.with.Advice {
		p.adviseDoor(d)
	}
}

// inherit fills in what follows from other keys and from [options].
func (p *parser) inherit(d *rawDoor) {
	if !d.has("start_command_6") {
		d.StartCommand6 = d.StartCommand
	}
	if !d.has("stop_command_6") {
		d.StopCommand6 = d.StopCommand
	}
	if !d.has("start_limit") {
		d.StartLimit = p.config.StartLimit
	}
	if !d.has("repeats") {
		d.ForgiveRepeats = p.config.ForgiveRepeats
	}
	if d.OpensPorts() && !d.has("nft_set", "nft_set_6") && p.config.NftMode == NftSet {
		d.NftSet, d.NftSet6 = p.config.NftSet, p.config.NftSet6
	}
}

// checkNeeds finds keys that have no effect, or mean the same as another.
func (p *parser) checkNeeds(d *rawDoor) {
	for _, given := range d.given {
		k := doorKeys.find(given.name)
		needs := k.needs
		if k.only == spaDoors && !d.has(spaKeyFile) {
			needs = spaKeyFile
		}
		if needs != "" && !d.has(needs) {
			p.fault(d.fault(given.name, fmt.Errorf("has no effect without %s", needs)))
		}
		for _, other := range k.excludes {
			if d.has(other) {
				p.fault(d.fault(given.name, fmt.Errorf("stands for cooldown and cooldown_scope = door: cannot be with %s", other)))
			}
		}
	}
}

// commands returns the door's commands with their keys.
func (d *rawDoor) commands() []struct{ key, text string } {
	return []struct{ key, text string }{
		{"start_command", d.StartCommand}, {"start_command_6", d.StartCommand6},
		{"stop_command", d.StopCommand}, {"stop_command_6", d.StopCommand6},
	}
}

func (p *parser) checkCommands(d *rawDoor) {
	if d.StopCommand != "" && d.StartCommand == "" && d.StartCommand6 == "" {
		p.warn(d.fault("stop_command", fmt.Errorf("never runs: the door has no start_command")))
	}
	for _, c := range d.commands() {
		if d.has(c.key) && strings.Contains(c.text, "%DOOR%") && !plain(d.Name) {
			p.fault(d.fault(c.key, fmt.Errorf("%%DOOR%% is put into a shell command: the door's name must have letters, digits and _ . : - only")))
		}
	}
}

// plain reports whether the shell takes a text as one word, as it is.
func plain(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-") == ""
}

// checkClose: the door that is closed must be one, and another.
func (p *parser) checkClose(d *rawDoor) {
	if d.Close == "" {
		return
	}
	doors := p.named[d.Close]
	switch {
	case len(doors) == 0:
		p.fault(d.fault("close", fmt.Errorf("%q: must be the name of a door", d.Close)))
	case d.Close == d.Name:
		p.fault(d.fault("close", fmt.Errorf("must be another door")))
	case len(doors) > 1:
		p.fault(d.fault("close", fmt.Errorf("%q names two doors, %v and %v: must be one", d.Close, doors[0].Place, doors[1].Place)))
	}
}
