package config

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"knockd/internal/knock"
)

// Parse reads the text of one file; name is what faults call it. No disk is
// read. The error is a *FaultError that holds every fault; then there is no
// Config.
func Parse(name string, src []byte) (*Config, error) {
	p := newParser()
	p.file(name, src)
	return p.result()
}

// parser collects what files say.
type parser struct {
	config *Config
	faults []*Fault
	traces []traceLine
	doors  map[string]int // how many doors have this name
}

type traceLine struct {
	place Place
	text  string
}

func newParser() *parser {
	return &parser{config: &Config{}, doors: map[string]int{}}
}

func (p *parser) result() (*Config, error) {
	if len(p.faults) == 0 {
		p.config.Trace = p.traceUntil(Place{})
		return p.config, nil
	}
	slices.SortStableFunc(p.faults, func(a, b *Fault) int {
		return cmp.Compare(a.Place.Line, b.Place.Line)
	})
	all := make([]error, len(p.faults))
	for i, f := range p.faults {
		all[i] = f
	}
	return nil, &FaultError{Trace: p.traceUntil(p.faults[0].Place), error: errors.Join(all...)}
}

// traceUntil returns the lines of -D, up to those of the given line: at the
// first fault knockd 0.8 ends.
func (p *parser) traceUntil(end Place) Trace {
	out := make(Trace, 0, len(p.traces))
	for _, t := range p.traces {
		if end.File != "" && (t.place.File != end.File || t.place.Line > end.Line) {
			break
		}
		out = append(out, t.text)
	}
	return out
}

func (p *parser) fault(f *Fault) { p.faults = append(p.faults, f) }

func (p *parser) warn(f *Fault) {
	p.config.Warnings = append(p.config.Warnings, f.Error())
}

func (p *parser) trace(place Place, prefix string, lines ...string) {
	for _, line := range lines {
		p.traces = append(p.traces, traceLine{place, "config: " + prefix + line})
	}
}

func (p *parser) file(name string, src []byte) {
	for _, s := range split(name, src, p.fault) {
		p.section(s)
	}
	if len(p.config.Doors) == 0 {
		p.warn(&Fault{Place: Place{File: name}, Err: rulef("no door: nothing can ever open")})
	}
}

// longestSection and longestName are where knockd 0.8 cuts a section's name,
// in its -D line and in the log.
const (
	longestSection = 254
	longestName    = 127
)

func (p *parser) section(s *rawSection) {
	if !s.lost {
		p.trace(s.place, "", fmt.Sprintf("new section: '%s'", cut(s.name, longestSection)))
	}
	if s.name == optionsName {
		readItems(p, s, optionKeys, p.config, "")
		return
	}
	p.door(s)
}

func (p *parser) door(s *rawSection) {
	d := &rawDoor{Door: &Door{
		Door:       knock.Door{Name: cut(s.name, longestName), Timeout: knock.DefaultTimeout},
		Place:      s.place,
		CmdTimeout: DefaultCmdTimeout,
	}}
	d.given = readItems(p, s, doorKeys, d, d.Name+": ")
	if s.lost {
		return
	}
	p.finish(d)
	p.doors[d.Name]++
	d.Occurrence = p.doors[d.Name]
	if d.Occurrence > 1 {
		p.warn(d.fault("", rulef("door %d of this name", d.Occurrence)))
	}
	if len(s.name) > longestName {
		p.warn(d.fault("", rulef("the name is cut to %d bytes, as knockd 0.8 does", longestName)))
	}
	p.config.Doors = append(p.config.Doors, d.Door)
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// readItems reads the keys of a section into t. It returns where each key was
// given, faulty or not.
func readItems[T any](p *parser, s *rawSection, table keyTable[T], t T, prefix string) map[string]Place {
	given := map[string]Place{}
	for _, item := range s.items {
		k := table.find(item.key)
		if k == nil {
			p.strayKey(s, item)
			continue
		}
		name := k.names[0]
		if first, again := given[name]; again && !k.repeats {
			p.warn(&Fault{item.place, s.name, name, rulef("replaces the one of line %d", first.Line)})
		}
		given[name] = item.place
		readItem(p, s, item, k, t, prefix)
	}
	return given
}

func readItem[T any](p *parser, s *rawSection, item rawItem, k *key[T], t T, prefix string) {
	err := k.check(item)
	if err == nil {
		var trace []string
		trace, err = k.read(t, item.value)
		if k.global {
			prefix = ""
		}
		p.trace(item.place, prefix, trace...)
	}
	if err != nil {
		p.fault(&Fault{item.place, s.name, k.names[0], err})
	}
}

// strayKey deals with a line that is no key of its section.
func (p *parser) strayKey(s *rawSection, item rawItem) {
	name := item.key
	if !item.hasValue {
		name, _, _ = strings.Cut(name, " ")
	}
	fault := &Fault{item.place, s.name, name, nil}
	inOptions, inDoor := optionKeys.find(name), doorKeys.find(name)
	switch {
	case name == "":
		fault.Err = rulef("a key is missing before \"=\"")
	case !likeKey.MatchString(name):
		// What else stands here may be a sequence: it is not told.
		fault.Key, fault.Err = "", rulef("must be a key and its value, key = value")
	case name != item.key && (inOptions != nil || inDoor != nil):
		fault.Err = rulef("must be followed by \"=\" and its value")
	case inOptions != nil && inOptions.word && !item.hasValue:
		p.wordInDoor(fault, inOptions)
		return
	case inOptions != nil:
		fault.Err = rulef("belongs in the section [options] (in lower case)")
	case inDoor != nil:
		fault.Err = rulef("belongs in a door's section")
	default:
		fault.Err = rulef("unknown key")
	}
	p.fault(fault)
}

var likeKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// wordInDoor takes an option that stands alone, UseSyslog, where it stands in
// a door's section, as knockd 0.8 does: there it is the end of many a file.
func (p *parser) wordInDoor(f *Fault, k *key[*Config]) {
	trace, _ := k.read(p.config, "")
	p.trace(f.Place, "", trace...)
	f.Err = rulef("holds for all doors: belongs in the section [options]")
	p.warn(f)
}

// fault is a fault of one of the door's keys, or of the door itself.
func (d *rawDoor) fault(key string, err error) *Fault {
	place, ok := d.given[key]
	if !ok {
		place = d.Place
	}
	return &Fault{place, d.Name, key, err}
}

// finish checks what the keys of a door mean together, and fills in what
// follows from others.
func (p *parser) finish(d *rawDoor) {
	p.checkSequence(d)
	if _, ok := d.given["start_command_6"]; !ok {
		d.StartCommand6 = d.StartCommand
	}
	if _, ok := d.given["stop_command_6"]; !ok {
		d.StopCommand6 = d.StopCommand
	}
	if d.StopCommand != "" && d.StartCommand == "" && d.StartCommand6 == "" {
		p.warn(d.fault("stop_command", rulef("never runs: the door has no start_command")))
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
	case hasFixed && hasFile && fixed.Line > file.Line:
		p.fault(d.fault("sequence", rulef("follows one_time_sequences: must be one of the two")))
	case hasFixed && hasFile:
		d.Sequence = nil
		p.warn(d.fault("sequence", rulef("is not used: one_time_sequences follows")))
	}
	if d.Timeout == 0 && (hasFile || len(d.Sequence) > 1) {
		p.fault(d.fault("seq_timeout", rulef("0: must be at least 1 second, else there is no time for a second step")))
	}
}
