package event

import (
	"fmt"
	"time"

	"knockd/internal/knock"
)

// TrialBegun says that a configuration is on trial, or still is when knockd
// starts.
type TrialBegun struct {
	warning
	File  string
	Left  time.Duration
	Ports []knock.PortRange // closed until then; nil: none
}

func (e TrialBegun) Text() string {
	text := fmt.Sprintf("%s is on trial for %v: knockctl confirm keeps it", e.File, e.Left.Round(time.Second))
	if len(e.Ports) > 0 {
		text += ", else " + knock.PortNames(e.Ports, ", ") + " will be open again"
	}
	return text
}

// TrialOver says that a trial was not confirmed, when it ends, and at each
// start after it.
type TrialOver struct {
	warning
	File  string
	Ports []knock.PortRange // that the guard does not close for that; nil: none
	Kept  string            // the file with what was in use before, and is again
}

func (e TrialOver) Text() string {
	text := e.File + " was on trial and not confirmed: "
	switch {
	case e.Kept != "":
		return text + "what was in use before is in use: " + e.Kept
	case len(e.Ports) > 0:
		return text + Are(e.Ports) + " not guarded (knockctl trial tries again)"
	}
	return text + "it closes nothing more (knockctl trial tries again)"
}

// TrialConfirmed says that what was on trial stays.
type TrialConfirmed struct {
	logOnly
	File string
}

func (e TrialConfirmed) Text() string {
	return e.File + " is confirmed: it stays"
}

// TrialFailed says that what a trial left could not be put in order.
type TrialFailed struct {
	warning
	Err error
}

func (e TrialFailed) Text() string { return fmt.Sprintf("on trial: %v", e.Err) }
