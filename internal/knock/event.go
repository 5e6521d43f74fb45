package knock

import "net/netip"

// Kind says what an Event reports.
type Kind uint8

const (
	// Stage: a source has taken a step.
	Stage Kind = iota + 1
	// Opened: that step was the last one. It follows the step's own event.
	Opened
	// Expired: seq_timeout passed before the sequence was complete.
	Expired
)

// Event is one decision of a Tracker.
type Event struct {
	Kind  Kind
	Door  *Door
	Src   netip.Addr // the knocker
	Stage int        // how far the attempt is; 1 after the first step
	Hit   Hit        // what caused it; the zero Hit with Expired
}
