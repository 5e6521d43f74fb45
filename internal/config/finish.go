package config

// fault is a fault of one of the door's keys, or of the door itself.
func (d *rawDoor) fault(key string, err error) *Fault {
	place, ok := d.given[key]
	if !ok {
		place = d.Place
	}
	return &Fault{place, d.Name, key, err}
}

// has says whether a key was given.
func (d *rawDoor) has(key string) bool {
	_, ok := d.given[key]
	return ok
}

// finish checks what keys mean together when all are read, and fills in what
// follows from others.
func (p *parser) finish() {
	for _, d := range p.doors {
		p.finishDoor(d)
		p.config.Doors = append(p.config.Doors, d.Door)
	}
	if len(p.doors) == 0 {
		p.warn(&Fault{Place: Place{File: p.main}, Err: rulef("no door: nothing can ever open")})
	}
}

func (p *parser) finishDoor(d *rawDoor) {
	p.checkSequence(d)
	if !d.has("start_command_6") {
		d.StartCommand6 = d.StartCommand
	}
	if !d.has("stop_command_6") {
		d.StopCommand6 = d.StopCommand
	}
	if d.StopCommand != "" && d.StartCommand == "" && d.StartCommand6 == "" {
		p.warn(d.fault("stop_command", rulef("never runs: the door has no start_command")))
	}
	if !d.has("start_limit") {
		d.StartLimit = p.config.StartLimit
	}
}

// checkSequence settles where the sequence comes from. Of a fixed one and a
// file, knockd 0.8 starts with the one that was named last.
func (p *parser) checkSequence(d *rawDoor) {
	fixed, hasFixed := d.given["sequence"]
	file, hasFile := d.given["one_time_sequences"]
	switch {
	case !hasFixed && !hasFile:
		p.fault(d.fault("sequence", rulef("is missing: a door must have a sequence or one_time_sequences")))
	case hasFixed && hasFile && p.before(fixed, file) > 0:
		p.fault(d.fault("sequence", rulef("follows one_time_sequences: must be one of the two")))
	case hasFixed && hasFile:
		d.Sequence = nil
		p.warn(d.fault("sequence", rulef("is not used: one_time_sequences follows")))
	}
	if d.Timeout == 0 && (hasFile || len(d.Sequence) > 1) {
		p.fault(d.fault("seq_timeout", rulef("0: must be at least 1 second, else there is no time for a second step")))
	}
}
