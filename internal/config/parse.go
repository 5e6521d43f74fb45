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
	p := newParser(name)
	p.with = Extras{Trace: true, Advice: true}
	return p.parse(source{name, src}, nil)
}

// source is a file that was read.
type source struct {
	name string
	text []byte
}

// parse reads a main file and its drop-ins, in this order.
func (p *parser) parse(main source, dropIns []source) (*Config, error) {
	for _, f := range append([]source{main}, dropIns...) {
		p.files[f.name] = len(p.files)
		for s := range split(f.name, f.text, p.fault) {
			p.section(s)
		}
	}
	p.finish()
	return p.result()
}

// parser collects what files say.
type parser struct {
	config  *Config
	main    string                // the main file's name
	files   map[string]int        // all files, by the order they are read in
	doors   []*rawDoor            // in the order they were met
	named   map[string][]*rawDoor // the same, by name
	options keyPlaces             // where each option stands
	faults  []*Fault
	with    Extras

	proposals int      // made for unknown keys
	advice    []*Fault // for Config.Advice
	traces    []traceLine
}

type traceLine struct {
	place Place
	text  string
}

func newParser(main string) *parser {
	return &parser{
		config: &Config{
			MaxAttempts: knock.DefaultMaxAttempts, LogRate: DefaultLogRate,
			HistorySize: DefaultHistorySize, HistoryDays: DefaultHistoryDays,
			LogFormat: LogClassic, SyslogFormat: SyslogClassic,
			NftMode: DefaultNftMode, NftTable: DefaultNftTable, GuardHook: HookInput, NftMark: DefaultNftMark,
		},
		main: main, files: map[string]int{}, named: map[string][]*rawDoor{},
	}
}

// before orders places as they are read, a file that was not read last.
func (p *parser) before(a, b Place) int {
	return cmp.Or(cmp.Compare(p.rank(a.File), p.rank(b.File)), cmp.Compare(a.Line, b.Line))
}

func (p *parser) rank(file string) int {
	if n, ok := p.files[file]; ok {
		return n
	}
	return len(p.files)
}

func (p *parser) result() (*Config, error) {
	if len(p.faults) == 0 {
		slices.SortStableFunc(p.advice, func(a, b *Fault) int { return p.before(a.Place, b.Place) })
		for _, f := range p.advice {
			p.config.Advice = append(p.config.Advice, f.Error())
		}
		if p.with.Trace {
			p.config.Trace = p.traceUntil(nil)
		}
		return p.config, nil
	}
	slices.SortStableFunc(p.faults, func(a, b *Fault) int { return p.before(a.Place, b.Place) })
	all := make([]error, len(p.faults))
	for i, f := range p.faults {
		all[i] = f
	}
	return nil, &FaultError{Trace: p.traceUntil(&p.faults[0].Place), error: errors.Join(all...)}
}

// traceUntil returns the lines of -D, up to those of the given line: at the
// first fault knockd 0.8 ends.
func (p *parser) traceUntil(end *Place) Trace {
	out := make(Trace, 0, len(p.traces))
	for _, t := range p.traces {
		if end != nil && p.before(t.place, *end) > 0 {
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

func (p *parser) advise(f *Fault) {
	if p.with.Advice {
		p.advice = append(p.advice, f)
	}
}

func (p *parser) trace(place Place, prefix string, lines ...string) {
	if !p.with.Trace {
		return
	}
	for _, line := range lines {
		p.traces = append(p.traces, traceLine{place, "config: " + prefix + line})
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
		readItems(p, s, optionKeys, p.config, &p.options, p.optionAgain)
		return
	}
	d := p.doorOf(s)
	readItems(p, s, doorKeys, d, &d.given, p.doorKeyAgain)
}

// doorOf returns the door that a section is about: in the main file always a
// new one.
func (p *parser) doorOf(s *rawSection) *rawDoor {
	switch {
	case s.lost:
		return newRawDoor(s)
	case s.place.File != p.main:
		return p.dropInDoor(s)
	}
	return p.addDoor(s)
}

func newRawDoor(s *rawSection) *rawDoor {
	return &rawDoor{Door: &Door{
		Door:       knock.Door{Name: cut(s.name, longestName), Timeout: knock.DefaultTimeout},
		Place:      s.place,
		CmdTimeout: DefaultCmdTimeout, OpenPrefix4: 32, OpenPrefix6: 128,
	}}
}

func (p *parser) addDoor(s *rawSection) *rawDoor {
	d := newRawDoor(s)
	p.doors = append(p.doors, d)
	p.named[d.Name] = append(p.named[d.Name], d)
	d.N = len(p.named[d.Name])
	if d.N > 1 {
		p.warn(d.fault("", fmt.Errorf("door %d of this name", d.N)))
	}
	if len(s.name) > longestName {
		p.warn(d.fault("", fmt.Errorf("the name is cut to %d bytes, as knockd 0.8 does", longestName)))
	}
	return d
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// readItems reads the keys of a section into t, and notes in given where each
// stands, faulty or not. For a key that was given before it calls again.
func readItems[T any](p *parser, s *rawSection, table keyTable[T], t T, given *keyPlaces,
	again func(f *Fault, first Place, repeats bool)) {
	for i, item := range s.items {
		k := table.find(item.key)
		if k == nil {
			rest := i > 0 && s.items[i-1].continues(item)
			p.strayKey(s, item, rest)
			continue
		}
		name := k.names[0]
		if first, ok := given.find(name); ok {
			again(&Fault{item.place, s.name, name, nil}, first, k.repeats)
		}
		given.set(name, item.place)
		readItem(p, s, item, k, t)
	}
}

// optionAgain: of several values the last one counts, as in knockd 0.8. That
// a drop-in overrides the main file is its purpose.
func (p *parser) optionAgain(f *Fault, first Place, repeats bool) {
	if first.File == f.Place.File && !repeats {
		f.Err = fmt.Errorf("replaces the one of line %d", first.Line)
		p.warn(f)
	}
}

// doorKeyAgain: the same in a door of the main file; with a drop-in it is not
// clear which one is meant.
func (p *parser) doorKeyAgain(f *Fault, first Place, repeats bool) {
	switch {
	case first.File == f.Place.File && repeats:
	case f.Place.File == p.main:
		f.Err = fmt.Errorf("replaces the one of line %d", first.Line)
		p.warn(f)
	default:
		f.Err = fmt.Errorf("is set already, at %v: must stand once", first)
		p.fault(f)
	}
}

func readItem[T any](p *parser, s *rawSection, item rawItem, k *key[T], t T) {
	prefix := ""
	if s.name != optionsName && !k.global {
		prefix = cut(s.name, longestName) + ": "
	}
	err := k.check(item)
	value, text := item.value, ""
	if err == nil {
		value, text, err = k.follow.cut(item.value)
	}
	if err == nil {
		var trace []string
		trace, err = k.read(t, value)
		p.trace(item.place, prefix, trace...)
		if err != nil {
			err = k.follow.hint(item.value, err)
		}
	}
	if err != nil {
		p.fault(&Fault{item.place, s.name, k.names[0], err})
		return
	}
	if text != "" {
		p.warn(&Fault{item.place, s.name, k.names[0], k.follow.ignored(text)})
	}
	if k.note != "" {
		p.warn(&Fault{item.place, s.name, k.names[0], fmt.Errorf("%s", k.note)})
	}
}

// strayKey deals with a line that is no key of its section; rest says whether
// it was meant as the rest of the line before.
func (p *parser) strayKey(s *rawSection, item rawItem, rest bool) {
	name := item.key
	if !item.hasValue {
		name, _, _ = strings.Cut(name, " ")
	}
	fault := &Fault{item.place, s.name, name, nil}
	inOptions, inDoor := optionKeys.find(name), doorKeys.find(name)
	switch {
	case rest:
		fault.Key, fault.Err = "", continued(item.place.Line-1)
	case name == "":
		fault.Err = fmt.Errorf("a key is missing before \"=\"")
	case !likeKey.MatchString(name):
		// What else stands here may be a sequence: it is not told.
		fault.Key, fault.Err = "", cause(item.key, fmt.Errorf("must be a key and its value, key = value"))
	case name != item.key && inOptions != nil && inOptions.word:
		fault.Err = fmt.Errorf("must stand alone on its line")
	case name != item.key && (inOptions != nil || inDoor != nil):
		fault.Err = fmt.Errorf("must be followed by \"=\" and its value")
	case inOptions != nil && inOptions.check(item) == nil && inOptions.word:
		p.wordInDoor(fault, inOptions, item.value)
		return
	case inOptions != nil:
		fault.Err = fmt.Errorf("belongs in the section [options] (in lower case)")
	case inDoor != nil:
		fault.Err = fmt.Errorf("belongs in a door's section")
	default:
		fault.Err = p.unknown(name, s.name == optionsName)
	}
	p.fault(fault)
}

var likeKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// wordInDoor takes an option that stands alone, UseSyslog, where it stands in
// a door's section, as knockd 0.8 does: there it is the end of many a file.
func (p *parser) wordInDoor(f *Fault, k *key[*Config], value string) {
	trace, err := k.read(p.config, value)
	p.trace(f.Place, "", trace...)
	if f.Err = err; err != nil {
		p.fault(f)
		return
	}
	if f.Err = fmt.Errorf("holds for all doors: belongs in the section [options]"); k.note != "" {
		f.Err = fmt.Errorf("%s; belongs in the section [options]", k.note)
	}
	p.warn(f)
}
