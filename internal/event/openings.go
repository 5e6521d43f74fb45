package event

import (
	"fmt"
	"strconv"
	"time"

	"knockd/internal/knock"
)

// Opening is the opening that an event is about.
type Opening struct {
	Door    knock.DoorID
	Knocker Knocker
	For     string // whom the door is open for: the knocker, or the prefix around it
	Native  bool   // no command opens it
	What    string // what a native one opens: "tcp/22"
	Stays   bool   // nothing of knockd's closes it

	// Who had it opened, if no knock did.
	Client string  // whose message
	UID    *uint32 // the user who did so by hand
}

// at names knocker and door.
func (o Opening) at() string { return o.Knocker.String() + ": " + o.Door.Name }

// Result is how a command or a native action ended.
type Result struct {
	Status int   // as a shell counts it: 128+n where signal n ended it
	Err    error // it could not be run, or was ended at a limit
}

// OK reports whether it did its work.
func (r Result) OK() bool { return r.Err == nil && r.Status == 0 }

// String returns the result in words.
func (r Result) String() string {
	if r.Err != nil {
		return r.Err.Error()
	}
	return "status " + strconv.Itoa(r.Status)
}

// Refused says that too many openings are held.
type Refused struct {
	notice
	Opening      Opening
	Held, OfDoor int
	LeftOut      int // refusals that were not told
}

func (e Refused) Text() string {
	text := fmt.Sprintf("%s: not opened: %d openings are held already, %d of this door", e.Opening.at(), e.Held, e.OfDoor)
	if e.LeftOut > 0 {
		text += fmt.Sprintf(" (%d such lines left out)", e.LeftOut)
	}
	return text
}

// Waiting says that an opening waits for a worker.
type Waiting struct {
	notice
	Opening       Opening
	OfDoor, InAll int // workers that are taken
}

func (e Waiting) Text() string {
	what := "start command"
	if e.Opening.Native {
		what = "opening"
	}
	return fmt.Sprintf("%s: %s waits: %d of this door run, %d in all", e.Opening.at(), what, e.OfDoor, e.InAll)
}

// CommandStarted says that a start or stop command runs.
type CommandStarted struct {
	notice
	Opening Opening
	Stop    bool
	Command string
}

func (e CommandStarted) Text() string { return e.Opening.Door.Name + ": running command: " + e.Command }

// CommandOrphaned says that the start command of an earlier run of knockd goes
// on.
type CommandOrphaned struct {
	notice
	Opening Opening
	PID     int
}

func (e CommandOrphaned) Text() string {
	return fmt.Sprintf("%s: start command of an earlier run goes on (pid %d)", e.Opening.at(), e.PID)
}

// CommandEnded says that a command has run and failed, or it succeeds after it
// could not be run.
type CommandEnded struct {
	notice
	Opening Opening
	Stop    bool
	Again   bool // it was tried before
	Result  Result
}

func (e CommandEnded) Text() string {
	door, text := e.Opening.Door.Name, ""
	switch {
	case e.Again && !e.Stop:
		text = fmt.Sprintf("%s: start command run at last for %v", door, e.Opening.Knocker.Addr)
	case e.Again && e.Result.OK():
		text = fmt.Sprintf("%s: stop command succeeded for %v", door, e.Opening.Knocker.Addr)
	}
	if text != "" && !e.Result.OK() {
		text += "\n"
	}
	switch {
	case e.Result.Err != nil:
		text += door + ": command ended without a status: " + e.Result.Err.Error()
	case e.Result.Status != 0:
		text += fmt.Sprintf("%s: command returned non-zero status code (%d)", door, e.Result.Status)
	}
	return text
}

// Failed says that an opening could not begin or close.
type Failed struct {
	notice
	Opening Opening
	Close   bool
	Again   bool // what could not begin is tried again
	Err     error
}

func (e Failed) Text() string {
	o, does, again := e.Opening, "open", ""
	if !o.Native {
		return fmt.Sprintf("%s: start command for %v not run, tried again: %v", o.Door.Name, o.Knocker.Addr, e.Err)
	}
	if e.Close {
		does = "close"
	}
	if e.Again {
		again = ", tried again"
	}
	return fmt.Sprintf("%s: %s %s for %s%s: %v", o.Door.Name, does, o.What, o.For, again, e.Err)
}

// GivenUp says that what failed is not tried again.
type GivenUp struct {
	notice
	Opening Opening
	Close   bool
	Result  Result
	Command string // that was tried; "" with a native opening
}

func (e GivenUp) Text() string {
	o, command := e.Opening, "start"
	if o.Native {
		return fmt.Sprintf("%s: close given up for %s (%v)", o.Door.Name, o.For, e.Result)
	}
	if e.Close {
		command = "stop"
	}
	return fmt.Sprintf("%s: %s command given up for %v (%v): %s", o.Door.Name, command, o.Knocker.Addr, e.Result, e.Command)
}

// Opened says that a native opening has begun.
type Opened struct {
	notice
	Opening Opening
	Timeout time.Duration // 0: until somebody closes it
}

func (e Opened) Text() string {
	text := fmt.Sprintf("%s: opened %s for %s", e.Opening.Door.Name, e.Opening.What, e.Opening.For)
	if e.Timeout > 0 {
		text += " (" + strconv.FormatFloat(e.Timeout.Seconds(), 'f', -1, 64) + " s)"
	}
	return text
}

// Dropped says that an opening ended before anything of it began.
type Dropped struct {
	notice
	Opening Opening
	Why     string
}

func (e Dropped) Text() string { return e.Opening.at() + ": not opened: " + e.Why }

// Closed says that the time of an opening is over. A native one has closed, the
// stop command of another runs next.
type Closed struct {
	notice
	Opening Opening
	Why     string // why before its time; "": it was over
}

func (e Closed) Text() string {
	text := fmt.Sprintf("%s: closed for %s", e.Opening.Door.Name, e.Opening.For)
	switch {
	case !e.Opening.Native && e.Why == "":
		return e.Opening.at() + ": command timeout"
	case !e.Opening.Native:
		return e.Opening.at() + ": closed early: " + e.Why
	case e.Why != "":
		text += ": " + e.Why
	}
	return text
}

// AllDropped says that openings that had not begun were dropped on shutdown.
type AllDropped struct {
	notice
	Openings int
}

func (e AllDropped) Text() string {
	return fmt.Sprintf("dropped before their start command ran: %d openings", e.Openings)
}

// Adopted says that openings of an earlier run were taken over from the
// journal.
type Adopted struct {
	notice
	Openings int
}

func (e Adopted) Text() string {
	return fmt.Sprintf("journal: openings of an earlier run taken over: %d", e.Openings)
}

// JournalDamaged says that records of the journal could not be read.
type JournalDamaged struct {
	notice
	File    string
	Records int
}

func (e JournalDamaged) Text() string {
	return fmt.Sprintf("journal: %s: damaged records skipped: %d", e.File, e.Records)
}

// JournalFailed says that the journal cannot be written.
type JournalFailed struct {
	notice
	Doing, File string
	Err         error
}

func (e JournalFailed) Text() string {
	return fmt.Sprintf("journal: %s %s: %v: until this is over, doors open now stay open if the daemon dies", e.Doing, e.File, e.Err)
}

// JournalWritten says that the journal can be written again.
type JournalWritten struct{ notice }

func (JournalWritten) Text() string { return "journal: written again: all open doors are in it" }

// LeftOpen says that doors could not be closed before the end.
type LeftOpen struct {
	warning
	Openings int
	Journal  bool // the next start tries again
}

func (e LeftOpen) Text() string {
	text := fmt.Sprintf("doors that could not be closed: %d", e.Openings)
	if e.Journal {
		text += "; the next start tries again"
	}
	return text
}
