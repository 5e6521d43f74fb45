package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"knockd/internal/knock"
)

// DefaultCmdTimeout is the time between start and stop command of a door that
// names none, as in knockd 0.8.
const DefaultCmdTimeout = 10 * time.Second

// Defaults of options that a file does not give.
const (
	DefaultStateDir = "/var/lib/knockd"
	DefaultLogRate  = 100
	DefaultNftMode  = NftGuard
)

// Defaults of the native firewall.
var (
	DefaultNftTable = Table{Family: "inet", Name: "knockd"}
	DefaultNftMark  = Mark{Value: 0x100000, Mask: 0x100000}
)

// Config is what a file and its drop-ins say, checked. An option that was not
// given has its default, or the zero value where a comment says so.
type Config struct {
	LogFile    string   // as written, perhaps relative; "" means none
	PidFile    string   // as written, perhaps relative; "" means not given
	Interfaces []string // names, without repeats; nil means not given
	UseSyslog  bool

	LogFormat    LogFormat // of LogFile
	Log          []LogSink // beside LogFile and syslog
	SyslogFormat SyslogFormat

	StateDir    string        // as written, perhaps relative; "" means not given
	KeepOnStop  bool          // OnStop = keep: a stop leaves openings to the journal
	StartLimit  time.Duration // of doors that have none of their own; 0 means none
	MaxAttempts int           // attempts held at once
	LogRate     int           // lines a second that strangers can cause
	LogFailures bool          // a line for each attempt that fails

	HistoryFile string // as written, perhaps relative; "" means none
	HistorySize Size   // of the file; as much of the past as half of it is remembered
	HistoryDays int    // after which what is over is forgotten

	ControlSocket string   // as written, perhaps relative, or NoSocket; "" means not given
	ControlGroup  string   // a name or number; "" means not given
	ControlAdmins []string // names or numbers of users

	NftMode   NftMode
	NftTable  Table // the daemon's own
	GuardHook GuardHook
	NftMark   Mark
	Rescue    []netip.Prefix // for which the guard closes nothing; nil means none
	NftSet    SetName        // of doors that have none of their own
	NftSet6   SetName

	MaxFailures    FailureLimit
	NeverIgnore    []netip.Prefix
	ForgiveRepeats bool // AllowDuplicates: of doors that say nothing themselves

	Doors    []*Door  // in file order, those that only drop-ins have last
	Warnings []string // what is allowed and probably not meant, with its place
	Advice   []string // what would be safer, with its place; see Extras
	Trace    Trace    // what -D prints; see Extras
	Files    *Files   // what was read; nil if it was no file

	places map[*Door]keyPlaces // of the keys that were given, with Advice
}

// PlaceOf returns where a key of a door stands, by its first name, or where the
// door does. Only a configuration that was read with Advice knows it of keys.
func (c *Config) PlaceOf(d *Door, key string) Place {
	if place, ok := c.places[d].find(key); ok {
		return place
	}
	return d.Place
}

// Absolute makes the paths of a configuration absolute that are not: they are
// those of a directory.
func (c *Config) Absolute(dir string) {
	paths := []*string{&c.LogFile, &c.PidFile, &c.StateDir, &c.HistoryFile}
	if c.ControlSocket != NoSocket {
		paths = append(paths, &c.ControlSocket)
	}
	for _, d := range c.Doors {
		paths = append(paths, &d.OneTimeFile)
		if d.SPA != nil {
			paths = append(paths, &d.SPA.KeyFile)
		}
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

// Door is a section of the file: what the tracker knows of it, and what
// happens when it opens.
type Door struct {
	knock.Door

	Place Place

	// OneTimeFile holds the sequences of a door that has none of its own
	// (then Sequence is empty here), as written, perhaps relative.
	OneTimeFile string

	// The commands as /bin/sh gets them, before expansion; "" means none.
	// A missing IPv6 command is the IPv4 one already.
	StartCommand, StartCommand6 string
	StopCommand, StopCommand6   string
	CmdTimeout                  time.Duration // whole seconds, 0 or more

	StartLimit time.Duration // how long the start command may run; 0 means for ever

	// What opens without a command, for CmdTimeout.
	Open            []PortRange
	OpenNamed       []knock.Protocol // open = tcp/*: the port that the knock named, by these
	NftSet, NftSet6 SetName          // with NftMode "set"; none if the door fills no set
	Actions         []Action         // how the door opens and closes, in the order of the rows
	OpenPrefix4     int              // bits of the address that count, 8-32
	OpenPrefix6     int              // 16-128
	Close           string           // name of the door whose openings this one ends; "" means none

	// SPA is nil for doors with a sequence. A door with it has none.
	SPA *SPA
}

// Action is one way in which a door opens and closes.
type Action struct {
	Key   string // that asks for it
	Name  string // of the action, in a journal too
	For   Family // of the knocker's address
	Opens Opens
	Ports []PortRange // with OpensPorts: what it opens

	// Args are its arguments, commands before expansion. With OpensNamed Port has
	// the protocol alone.
	Args knock.Arguments
}

// Family is a set of address families.
type Family uint8

// The families.
const (
	IPv4 Family = 1 << iota
	IPv6
)

// Has reports whether the family of an address is in the set.
func (f Family) Has(a netip.Addr) bool {
	if a.Is4() {
		return f&IPv4 != 0
	}
	return f&IPv6 != 0
}

// Opens is what an action opens.
type Opens uint8

// What the key says, all of it at once; the port that the knock named; each port
// that a message asks for; where a message asks to be led.
const (
	OpensAll Opens = iota
	OpensNamed
	OpensAsked
	OpensNAT
)

// OpensNatively reports whether the door opens without a command.
func (d *Door) OpensNatively() bool {
	return slices.ContainsFunc(d.Actions, func(a Action) bool { return a.Name != commandAction })
}

// OpensPorts reports whether the door opens ports natively.
func (d *Door) OpensPorts() bool { return len(d.Open)+len(d.OpenNamed) > 0 }

// ParseSequence reads a sequence for this door, of its OneTimeFile.
func (d *Door) ParseSequence(text string) ([]knock.Step, error) {
	steps, err := parseSequence(text, len(d.OpenPorts) > 0)
	if err != nil {
		return nil, err
	}
	return steps, d.checkSteps(steps)
}

// Place is a line of a file.
type Place struct {
	File string
	Line int // from 1; 0 means the file as a whole
}

func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// ForPrograms reports whether programs read what happens: they are told why
// attempts fail, whatever LogFailures says.
func (c *Config) ForPrograms() bool {
	return c.LogFormat == LogJSON || len(c.Log) > 0 || c.UseSyslog && c.SyslogFormat == SyslogRFC5424
}
