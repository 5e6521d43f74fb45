package check

import (
	"fmt"

	"knockd/internal/config"
)

// Level is how much a finding matters.
type Level uint8

// The levels: what is probably not meant, what would be safer, and what could
// not be looked at.
const (
	Warning Level = iota
	Advice
	Unseen
)

// String returns the word that stands before findings of the level.
func (l Level) String() string { return [...]string{"warning", "advice", "not looked at"}[l] }

// Finding is one thing that there is to say, in one line with its reason. It
// holds no secret.
type Finding struct {
	Level Level
	Text  string
}

// adviseOn returns advice on a key of a door.
func adviseOn(conf *config.Config, d *config.Door, key, format string, args ...any) Finding {
	return Finding{Advice, (&config.Fault{Place: conf.PlaceOf(d, key), Section: d.Name, Key: key, Err: fmt.Errorf(format, args...)}).Error()}
}
