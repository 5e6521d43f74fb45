package event

import (
	"fmt"
	"net/netip"
	"time"

	"knockd/internal/knock"
)

// MessageAccepted says that the right keys ask for something that a door opens.
type MessageAccepted struct {
	notice
	Src     netip.Addr   `event:"peer"` // the sender
	Door    knock.DoorID // that opens
	Client  string       // whose keys
	Ports   []knock.PortRange
	NAT     netip.AddrPort // where they lead; the zero value: nowhere
	For     netip.Addr     // the address to open
	Timeout time.Duration  // 0: until it is closed
}

func (e MessageAccepted) Text() string {
	text := fmt.Sprintf("%v: %s: client %s asks for %s", e.Src, e.Door.Name, e.Client, knock.PortNames(e.Ports, ", "))
	if e.NAT.IsValid() {
		text += fmt.Sprintf(" to %v", e.NAT)
	}
	text += fmt.Sprintf(" for %v", e.For)
	if e.Timeout > 0 {
		text += fmt.Sprintf(" (%.0f s)", e.Timeout.Seconds())
	}
	return text
}

// MessageRefused says that a message opens nothing.
type MessageRefused struct {
	limited
	Src     netip.Addr   `event:"peer"`
	Door    knock.DoorID // whose keys fit; the zero value if none did
	Client  string       // whose keys
	Verdict string       // the kind of refusal, in a word
	Reason  string       // one sentence, never a secret
}

func (e MessageRefused) Text() string {
	who := e.Door.Name
	if e.Client != "" {
		who += " (" + e.Client + ")"
	}
	if who != "" {
		who += ": "
	}
	return fmt.Sprintf("%v: %sSPA packet refused: %s", e.Src, who, e.Reason)
}

// MessagesDropped says that no key was tried on packets that may have been
// messages.
type MessagesDropped struct {
	notice
	Messages uint64
}

func (e MessagesDropped) Text() string {
	return fmt.Sprintf("SPA packets dropped: %d came with too many others to try all keys on", e.Messages)
}

// StoreRemade says that the store of used messages was gone.
type StoreRemade struct {
	warning
	File  string
	Floor time.Time // older messages are refused
}

func (e StoreRemade) Text() string {
	return e.File + ": the store of used messages was taken away: messages stamped up to " +
		e.Floor.UTC().Format("2006-01-02 15:04:05 UTC") + " may have been used, and are refused"
}
