package daemon

import (
	"errors"
	"slices"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/firewall"
	"knockd/internal/knock"
	"knockd/internal/onetime"
	"knockd/internal/spa"
)

// door is a configured door as it is now.
type door struct {
	*config.Door           // with the sequence in use; without one it is disabled
	oneTime      *oneTime  // nil for doors with one sequence, or keys
	keys         *spa.Door // nil for doors with sequences
}

// oneTime is where the sequences of a door come from, and the one in use.
type oneTime struct {
	file *onetime.File
	line onetime.Line
}

// Prepare makes the doors of a configuration ready for use: those with
// one-time sequences get the first unused one, those with keys their keys. A
// file that cannot be read or marked is a fault; one without unused lines
// leaves its door disabled, with a warning.
func Prepare(conf *config.Config) (ready []*door, doubts []event.Event, err error) {
	var faults []error
	for _, c := range conf.Doors {
		d, said, err := prepare(c)
		ready = append(ready, d)
		doubts = append(doubts, said...)
		if err != nil {
			faults = append(faults, err)
		}
	}
	return ready, doubts, errors.Join(faults...)
}

func prepare(c *config.Door) (d *door, doubts []event.Event, err error) {
	switch {
	case c.SPA != nil:
		keys, _, err := keyDoor(c)
		return &door{Door: c, keys: keys}, nil, err
	case c.OneTimeFile == "":
		return &door{Door: c}, nil, nil
	}
	d, doubts, err = withOneTime(c)
	if errors.Is(err, onetime.ErrExhausted) {
		return d, append(doubts, event.SequencesExhausted{Door: c.ID()}), nil
	}
	if err != nil {
		err = &config.Fault{Place: c.Place, Section: c.Name, Key: "one_time_sequences", Err: err}
	}
	return d, doubts, err
}

// Check says what is wrong with the files that a configuration names, and what
// would be safer. State says whether there is a directory to keep state in. It
// changes nothing.
func Check(conf *config.Config, state bool) (doubts []event.Event, advice []string, err error) {
	_, doubts, err = Prepare(conf)
	keyed := slices.ContainsFunc(conf.Doors, func(c *config.Door) bool { return c.SPA != nil })
	if err == nil && keyed && !state {
		err = errNoStore
	}
	for _, c := range conf.Doors {
		if c.SPA != nil {
			_, said, _ := keyDoor(c)
			advice = append(advice, said...)
		}
	}
	if rule := firewall.MarkRule(conf); rule != "" {
		advice = append(advice, rule)
	}
	return append(doubts, examine(conf)...), append(conf.Advice, advice...), err
}

// withOneTime returns the door with its first unused sequence.
func withOneTime(c *config.Door) (d *door, doubts []event.Event, err error) {
	file := &onetime.File{Path: c.OneTimeFile, Parse: c.ParseSequence, Guarded: true}
	file.Skipped = func(line int) {
		doubts = append(doubts, event.LineSkipped{Door: c.ID(), File: c.OneTimeFile, Line: line})
	}
	d = &door{Door: c, oneTime: &oneTime{file: file}}
	writers, err := file.CheckWritable()
	if err != nil {
		return d, nil, err
	}
	for _, w := range writers {
		doubts = append(doubts, event.Finding{Door: c.ID(), Finding: c.OneTimeFile + ": " + w})
	}
	line, err := file.Next()
	file.Skipped = nil
	if err != nil {
		return d, doubts, err
	}
	return d.with(line), doubts, nil
}

// with returns the door with another line of its file.
func (d *door) with(line onetime.Line) *door {
	c := *d.Door
	c.Sequence = line.Steps
	return &door{Door: &c, oneTime: &oneTime{file: d.oneTime.file, line: line}}
}

// doorsInUse is the list of doors as the tracker knows them.
type doorsInUse struct {
	list  []*door
	byKey map[*knock.Door]*door
}

func (u *doorsInUse) set(list []*door, tracker *knock.Tracker) {
	u.list, u.byKey = list, make(map[*knock.Door]*door, len(list))
	known := make([]*knock.Door, len(list))
	for i, d := range list {
		known[i] = &d.Door.Door
		u.byKey[known[i]] = d
	}
	tracker.SetDoors(known)
}

// replace puts another state of a door in its place; attempts at it end.
func (u *doorsInUse) replace(old, now *door, tracker *knock.Tracker) {
	for i, d := range u.list {
		if d == old {
			u.list[i] = now
		}
	}
	u.set(u.list, tracker)
}
