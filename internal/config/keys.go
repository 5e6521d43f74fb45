package config

import "strings"

// key is one key of the file, of a T: *Config for [options], *rawDoor for
// doors. A further key is one more entry in optionKeys or doorKeys.
type key[T any] struct {
	names   []string // the first as traces and faults print it, then aliases
	word    bool     // stands alone, without "= value"
	valued  bool     // a word that may have a value all the same
	note    string   // a warning that goes with the key
	repeats bool     // may be given several times; of others the last one counts
	global  bool     // its trace does not begin with the door's name
	follow  follow   // what may stand behind its value

	// read checks the value and sets it. It returns what -D prints of it after
	// "config: " and the door's name, on an error up to where it was found.
	read func(t T, value string) (trace []string, err error)
}

// keyTable finds keys by any of their names.
type keyTable[T any] map[string]*key[T]

func newKeyTable[T any](groups ...[]key[T]) keyTable[T] {
	t := keyTable[T]{}
	for _, keys := range groups {
		for i := range keys {
			for _, name := range keys[i].names {
				t[name] = &keys[i]
			}
		}
	}
	return t
}

// find returns the key that has this name, in any case.
func (t keyTable[T]) find(name string) *key[T] { return t[strings.ToLower(name)] }

// check says whether the line has the form that the key asks for.
func (k *key[T]) check(item rawItem) error {
	switch {
	case k.word && item.hasValue && !k.valued:
		return rulef("must stand alone, without \"=\"")
	case !k.word && !item.hasValue:
		return rulef("must be followed by \"=\" and its value")
	}
	return nil
}

// followed returns the key with what may stand behind its value.
func (k key[T]) followed(by follow) key[T] {
	k.follow = by
	return k
}

// textKey is a key whose value is kept as it is.
func textKey[T any](label string, field func(T) *string, names ...string) key[T] {
	return key[T]{names: names, read: func(t T, value string) ([]string, error) {
		*field(t) = value
		return []string{label + ": " + value}, nil
	}}
}
