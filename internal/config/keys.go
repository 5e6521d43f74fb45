package config

import (
	"cmp"
	"fmt"
	"strings"
)

// key is a row: all that there is to know about one key of the file, of a T:
// *Config for [options], *rawDoor for doors. A further key is one more row in
// optionRows or doorRows; every table of keys is derived from these.
type key[T any] struct {
	facts
	names   []string // the first as traces and faults print it, then aliases
	word    bool     // stands alone, without "= value"
	valued  bool     // a word that may have a value all the same
	note    string   // a warning that goes with the key
	repeats bool     // may be given several times; of others the last one counts
	global  bool     // its trace does not begin with the door's name
	action  bool     // it names an action: Door.Actions

	// acts returns how the door opens and closes by what this key and others say;
	// nil: not at all.
	acts func(t T) []Action

	// read checks the value and sets it. It returns what -D prints of it after
	// "config: " and the door's name, on an error up to where it was found.
	read func(t T, value string) (trace []string, err error)

	// fields are pointers to what read sets.
	fields func(t T) []any

	// write returns the value as a file would give it; false if no value means
	// what is set. Nil: that of the one field, by its type.
	write func(t T) (string, bool)
}

// facts are what a key means beside its value.
type facts struct {
	spelled string // as the manual writes it; "": as the first name
	doc     string // in one line
	follow  follow // what may stand behind the value

	needs    string   // the key without which this one has no effect
	excludes []string // the keys that it stands for, which cannot stand beside it
	inherits string   // the key that it is like if it is not given
	secret   bool     // who reads it can open the door
	only     form     // the doors that it is for
	single   bool     // opens for single addresses alone, not for networks

	reload  reload // of an option
	ruleset string // why no ruleset without a daemon can express it; "": one can, or says itself
}

// form is a kind of door.
type form uint8

const (
	anyDoor       form = iota
	sequenceDoors      // without spa_key_file
	spaDoors           // with it
)

// reload is what a change of an option means while the daemon runs.
type reload uint8

const (
	atOnce  reload = iota // it holds from then on
	never                 // only a restart can change it
	byDoors               // the doors that it stands for have changed
)

const noRuleset = "a ruleset cannot do that; leave the door to knockd"

// is adds the facts.
func (k key[T]) is(f facts) key[T] {
	k.facts = f
	return k
}

// name returns the key as the manual writes it.
func (k *key[T]) name() string { return cmp.Or(k.spelled, k.names[0]) }

// keyTable finds keys by any of their names.
type keyTable[T any] map[string]*key[T]

func newKeyTable[T any](rows []key[T]) keyTable[T] {
	t := keyTable[T]{}
	for i := range rows {
		for _, name := range rows[i].names {
			t[name] = &rows[i]
		}
	}
	return t
}

// find returns the key that has this name, in any case.
func (t keyTable[T]) find(name string) *key[T] { return t[strings.ToLower(name)] }

// check returns what is wrong with the form of a line with the key.
func (k *key[T]) check(item rawItem) error {
	switch {
	case k.word && item.hasValue && !k.valued:
		return fmt.Errorf("must stand alone, without \"=\"")
	case !k.word && !item.hasValue:
		return fmt.Errorf("must be followed by \"=\" and its value")
	}
	return nil
}

// textKey returns a key whose value is kept as it is.
func textKey[T any](label string, field func(T) *string, names ...string) key[T] {
	return key[T]{names: names, fields: oneField(field), read: func(t T, value string) ([]string, error) {
		*field(t) = value
		return []string{label + ": " + value}, nil
	}}
}

// choice returns a key that says which of two words holds.
func choice[T any](field func(T) *bool, off, on string, names ...string) key[T] {
	k := parsed(field, func(text string) (bool, error) {
		word, err := oneOf(off, on)(text)
		return word == on, err
	}, names...)
	return k.written(func(t T) (string, bool) {
		if *field(t) {
			return on, true
		}
		return off, true
	})
}

// oneField returns the fields of a key that sets one.
func oneField[T, V any](field func(T) *V) func(T) []any {
	return func(t T) []any { return []any{field(t)} }
}

// acting adds how a door opens by it.
func (k key[T]) acting(acts func(T) []Action) key[T] {
	k.acts = acts
	return k
}

// sets adds what a key sets whose reading is not a field's alone.
func (k key[T]) sets(fields func(T) []any) key[T] {
	k.fields = fields
	return k
}

// written adds how its value is written, if the type of a field does not say it.
func (k key[T]) written(write func(T) (string, bool)) key[T] {
	k.write = write
	return k
}
