package event

import (
	"fmt"
	"time"

	"knockd/internal/knock"
)

// InterfaceMissing says that an interface to listen on is not there.
type InterfaceMissing struct {
	warning
	Interface string // "": that of the default route
}

func (e InterfaceMissing) Text() string {
	if e.Interface == "" {
		return "waiting for a default route"
	}
	return "waiting for interface " + e.Interface
}

// InterfaceFound says that an interface to listen on has appeared.
type InterfaceFound struct {
	warning
	Interface string
}

func (e InterfaceFound) Text() string { return "listening on " + e.Interface }

// CaptureFailed says that the capture ended or could not be begun, and is tried
// again.
type CaptureFailed struct {
	warning
	Err error
}

func (e CaptureFailed) Text() string { return fmt.Sprintf("%v: trying again", e.Err) }

// CaptureSlower says that the kernel refuses what makes the capture fast.
type CaptureSlower struct {
	warning
	Interface string
	Err       error
	Filter    bool // the filter is coarser; else packets are read one at a time
}

func (e CaptureSlower) Text() string {
	then := "reading packets one at a time"
	if e.Filter {
		then = "using a coarser filter"
	}
	return fmt.Sprintf("%s: %v: %s", e.Interface, e.Err, then)
}

// PacketsLost says that the kernel has dropped packets that were not read in
// time.
type PacketsLost struct {
	notice
	Packets uint64
}

func (e PacketsLost) Text() string {
	return fmt.Sprintf("the kernel dropped %d packets that came faster than they could be read", e.Packets)
}

// Packet says that a packet came that could be a knock.
type Packet struct {
	debug
	At  time.Time
	Hit knock.Hit
}

func (e Packet) Text() string {
	h := &e.Hit
	text := fmt.Sprintf("%s: %s: %s:%d -> %s:%d %d bytes", e.At.Format(time.DateTime), h.Proto, h.Src, h.SrcPort, h.Dst, h.DstPort, h.PayloadLen)
	if h.Proto == knock.TCP {
		text += fmt.Sprintf(" [%v]", h.Flags)
	}
	return text
}

// Judged says what the packet before was to the doors.
type Judged struct {
	debug
	Outcome knock.Outcome
}

func (e Judged) Text() string { return "  " + e.Outcome.String() }
