package event

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"knockd/internal/knock"
)

// OpenedByHand says that somebody has a door opened through the control socket.
type OpenedByHand struct {
	notice
	UID     uint32
	Door    knock.DoorID
	Addr    netip.Addr `event:"address"`
	For     string     // the address, or the prefix around it
	Timeout time.Duration
	Forced  bool // against a rule
}

func (e OpenedByHand) Text() string {
	text := fmt.Sprintf("%s: opened for %s by uid %d (%s s)", e.Door.Name, e.For, e.UID, strconv.FormatFloat(e.Timeout.Seconds(), 'f', -1, 64))
	if e.Forced {
		text += ", with force"
	}
	return text
}

// ClosedByHand says that somebody has openings closed through the control
// socket.
type ClosedByHand struct {
	notice
	UID      uint32
	Door     knock.DoorID // the zero value: all
	Addr     netip.Addr   `event:"address"` // the zero value: for everybody
	Openings int
}

func (e ClosedByHand) Text() string {
	door, whom := "all doors", "everybody"
	if e.Door != (knock.DoorID{}) {
		door = e.Door.Name
	}
	if e.Addr.IsValid() {
		whom = e.Addr.String()
	}
	return fmt.Sprintf("%s: closed for %s by uid %d: %d openings", door, whom, e.UID, e.Openings)
}

// ReloadedByHand says that somebody has the configuration read again through the
// control socket.
type ReloadedByHand struct {
	notice
	UID uint32
}

func (e ReloadedByHand) Text() string { return fmt.Sprintf("reload asked for by uid %d", e.UID) }

// SocketFailed says that there is no control socket.
type SocketFailed struct {
	warning
	Err error
}

func (e SocketFailed) Text() string { return fmt.Sprintf("no control socket: %v", e.Err) }

// SocketMissing is SocketFailed for those who did not ask for one.
type SocketMissing struct {
	debug
	Err error
}

func (e SocketMissing) Text() string { return fmt.Sprintf("no control socket: %v", e.Err) }
