package knock

import "net/netip"

// Arguments are what closing an opening takes beside its door and address,
// whatever has become of the configuration meanwhile. Which of them count
// depends on who opens and closes.
type Arguments struct {
	// Version is 1 for arguments as they are here. A journal may hold others.
	Version int
	Port    Step           // the one port that is open; the zero Step: all of the door's
	To      netip.AddrPort // where the port leads
	List    string         // the list of iptables' match recent
}
