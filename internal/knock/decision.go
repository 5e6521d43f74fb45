package knock

import "net/netip"

// Kind says what a Decision reports.
type Kind uint8

const (
	// Stage: a source has taken a step.
	Stage Kind = iota + 1
	// Opened: that step was the last one. It follows the step's own decision.
	Opened
	// Expired: seq_timeout passed before the sequence was complete.
	Expired
	// Ignored: a source has failed too often, at last at this door; its
	// packets do not exist for a while.
	Ignored
	// Failed: a hit has ended an attempt. It is reported if SetVerbose asks for
	// it, and follows no decision of its own.
	Failed
)

// Decision is one decision of a Tracker.
type Decision struct {
	Kind  Kind
	Door  *Door
	Src   netip.Addr // the knocker
	Stage int        // how far the attempt is, or was; 1 after the first step; 0 with Ignored
	Port  uint16     // with Opened: the port hit at a step of port 0; 0 if there is none
	Hit   Hit        // what caused it; the zero Hit with Expired
	Of    *Door      // with Failed: a door that has the hit's port in its sequence; nil: none has
}
