package event

import (
	"fmt"
	"strings"

	"knockd/internal/knock"
)

// Started says that knockd runs. The words are knockd 0.8's.
type Started struct {
	logOnly
	Interfaces []string // that are listened on now
}

func (e Started) Text() string {
	if len(e.Interfaces) == 0 {
		return "starting up"
	}
	return "starting up, listening on " + strings.Join(e.Interfaces, ", ")
}

// Listening is Started for those who watch.
type Listening struct {
	debug
	Interfaces []string
}

func (e Listening) Text() string { return "listening on " + strings.Join(e.Interfaces, ", ") + "..." }

// Reloading says that the configuration is read again.
type Reloading struct {
	notice
	File string
}

func (e Reloading) Text() string { return "re-reading config file: " + e.File }

// Reloaded says that the configuration that was read again is used.
type Reloaded struct {
	silent
	Doors int
}

func (e Reloaded) Text() string { return fmt.Sprintf("configuration taken: %d doors", e.Doors) }

// ReloadRefused says that the configuration that was read again is not used.
type ReloadRefused struct {
	warning
	Err error // with all faults, one a line
}

func (e ReloadRefused) Text() string {
	return strings.TrimSpace(e.Err.Error()) + "\nconfiguration not changed"
}

// Finding is what a check of the configuration, or of the host, has found.
type Finding struct {
	warning
	Door    knock.DoorID // the zero value: of no one door
	Finding string
}

func (e Finding) Text() string { return e.Finding }

// Findings returns texts as findings.
func Findings(texts []string) (events []Event) {
	for _, text := range texts {
		events = append(events, Finding{Finding: text})
	}
	return events
}

// NotExamined says that something could not be looked at.
type NotExamined struct {
	warning
	What string
	Err  error
}

func (e NotExamined) Text() string { return fmt.Sprintf("not examined: %s: %v", e.What, e.Err) }

// Fault says that something failed that knockd can do without.
type Fault struct {
	warning
	Err error
}

func (e Fault) Text() string { return e.Err.Error() }

// WorkersLimited says that fewer commands than usual can run at a time.
type WorkersLimited struct {
	warning
	Workers int
	Why     string
}

func (e WorkersLimited) Text() string {
	return fmt.Sprintf("at most %d start commands and %[1]d stop commands run at a time: %s", e.Workers, e.Why)
}

// Stopping and Ending are the end as knockd 0.8 tells those who watch.
type (
	Stopping struct{ debug }
	Ending   struct{ debug }
)

func (Stopping) Text() string { return "waiting for child processes..." }
func (Ending) Text() string   { return "closing..." }

// Stopped says that knockd ends.
type Stopped struct{ logOnly }

func (Stopped) Text() string { return "shutting down" }

// LeftOut says that limited events were left out of the log.
type LeftOut struct {
	notice
	Events int
	Day    bool // some because the day's share is used up
}

func (e LeftOut) Text() string {
	why := "LogRate"
	if e.Day {
		why = "LogRate: the day's share is used up"
	}
	return fmt.Sprintf("%d lines left out (%s)", e.Events, why)
}

// Lost says that a file, pipe or program did not take lines of the log.
type Lost struct {
	notice
	Lines int
	Why   string
}

func (e Lost) Text() string { return fmt.Sprintf("%d lines lost: %s", e.Lines, e.Why) }
