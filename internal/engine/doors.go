package engine

import (
	"errors"
	"reflect"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/onetime"
	"knockd/internal/spa"
)

// Door is a configured door as it is now.
type Door struct {
	*configured           // with the sequence in use; without one it is disabled
	oneTime     *oneTime  // nil for doors with one sequence, or keys
	keys        *spa.Door // nil for doors with sequences
}

type configured = config.Door

// oneTime is where the sequences of a door come from, and the one in use.
type oneTime struct {
	file *onetime.File
	line onetime.Line
}

// Keys returns the door as messages see it; nil for doors with sequences.
func (d *Door) Keys() *spa.Door { return d.keys }

// OneTime returns where the sequences of a door with one-time sequences come
// from, and the line in use. It panics if the door is none.
func (d *Door) OneTime() (*onetime.File, onetime.Line) { return d.oneTime.file, d.oneTime.line }

// With returns the door with another line of its file; with none it has no
// sequence, so that nobody opens it.
func (d *Door) With(line onetime.Line) *Door {
	c := *d.configured
	c.Sequence = line.Steps
	return &Door{configured: &c, oneTime: &oneTime{file: d.oneTime.file, line: line}}
}

// same reports whether a door was written as before, and waits for the same
// sequence, or has the same keys.
func (d *Door) same(o *Door) bool {
	switch {
	case !reflect.DeepEqual(d.keys, o.keys), (d.oneTime == nil) != (o.oneTime == nil):
		return false
	case d.oneTime != nil && !d.oneTime.line.Same(o.oneTime.line):
		return false
	}
	return d.Equal(o.configured)
}

// Prepare makes the doors of a configuration ready for use: those with
// one-time sequences get the first unused one, those with keys their keys. A
// file that cannot be read or marked is a fault; one without unused lines
// leaves its door disabled, with a warning.
func Prepare(conf *config.Config) (ready []*Door, doubts []event.Event, err error) {
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

func prepare(c *config.Door) (d *Door, doubts []event.Event, err error) {
	switch {
	case c.SPA != nil:
		keys, err := spaDoor(c)
		return &Door{configured: c, keys: keys}, nil, err
	case c.OneTimeFile == "":
		return &Door{configured: c}, nil, nil
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

// OneTimeFile returns the file of a door with one-time sequences.
func OneTimeFile(c *config.Door) *onetime.File {
	return &onetime.File{Path: c.OneTimeFile, Parse: c.ParseSequence, Guarded: true}
}

// withOneTime returns the door with its first unused sequence.
func withOneTime(c *config.Door) (d *Door, doubts []event.Event, err error) {
	file := OneTimeFile(c)
	file.Skipped = func(line int) {
		doubts = append(doubts, event.LineSkipped{Door: c.ID(), File: c.OneTimeFile, Line: line})
	}
	d = &Door{configured: c, oneTime: &oneTime{file: file}}
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
	return d.With(line), doubts, nil
}

// SPADoors returns those that have keys, as messages see them.
func SPADoors(doors []*Door) (keyed []*spa.Door) {
	for _, d := range doors {
		if d.keys != nil {
			keyed = append(keyed, d.keys)
		}
	}
	return keyed
}

// KeyAdvice says what would be safer about the keys of doors, a sentence each.
func KeyAdvice(doors []*Door) (advice []string) {
	for _, d := range doors {
		if d.keys != nil {
			advice = append(advice, adviceOn(d.configured, d.keys)...)
		}
	}
	return advice
}
