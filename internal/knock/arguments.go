package knock

import (
	"net/netip"
	"time"
)

// Opening is a door that is open for a knocker, as an action knows it that
// opens and closes.
type Opening struct {
	Door    DoorID
	Addr    netip.Addr    // the knocker
	Timeout time.Duration // how long it stays open; 0: nothing of ours closes it
	Args    Arguments
}

// Arguments are what closing an opening takes beside its door and address,
// whatever has become of the configuration meanwhile. Which of them count
// depends on who opens and closes.
type Arguments struct {
	// Version is 1 for arguments as they are here. A journal may hold others.
	Version int
	Port    Step           // the one port that is open; the zero Step: all of the door's
	To      netip.AddrPort // where the port leads
	Value   string         // of the key that names the action
}
