package history

import (
	"net/netip"
	"strings"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// Visit is a door that was open for somebody, or is.
type Visit struct {
	Door    knock.DoorID
	Knocker event.Knocker
	For     string    // whom it is open for: the knocker, or the prefix around it
	What    string    // what is open without a command: "tcp/22"
	Client  string    // whose message opened it; "": nobody's
	UID     *uint32   // the user who opened it by hand; nil: nobody did
	Opened  time.Time // to the millisecond
	Closed  time.Time // the zero time: not yet, or not that is known
	Why     string    // why before its time, or why it is not known when
}

// Lasts reports whether the door is open still, as far as is known.
func (v *Visit) Lasts() bool { return v.Closed.IsZero() && v.Why == "" }

// Why it is not known when a visit ended.
const (
	whyStays = "nothing closes it"
	whyLost  = "knockd was not running"
)

// Query narrows what is asked for. The zero value takes all.
type Query struct {
	Since   time.Time    // visits that began then or later
	Door    knock.DoorID // without a name: all
	Address netip.Addr   // the knocker, or one of the prefix that was let in
}

func (q *Query) takes(v *Visit) bool {
	return !v.Opened.Before(q.Since) &&
		(q.Door.Name == "" || q.Door == v.Door) &&
		(!q.Address.IsValid() || q.Address == v.Knocker.Addr || within(q.Address, v.For))
}

// within reports whether an address is in a prefix, or is the one.
func within(a netip.Addr, who string) bool {
	if !strings.Contains(who, "/") {
		return a.String() == who
	}
	p, err := netip.ParsePrefix(who)
	return err == nil && p.Contains(a)
}

// key is what tells openings that are open at a time from each other; several of
// commands can share one.
type key struct {
	door      knock.DoorID
	who, what string
}

func keyOf(door knock.DoorID, who, what string) key {
	door.Name = strings.ToValidUTF8(door.Name, "\uFFFD") // as the file has it
	return key{door, plain(who), what}
}

// keyOfEvent is the key of an opening; of what a command opens nobody knows what
// it is.
func keyOfEvent(o *event.Opening) key {
	if !o.Native {
		return keyOf(o.Door, o.For, "")
	}
	return keyOf(o.Door, o.For, o.What)
}

// plain writes a prefix of one address as that address.
func plain(who string) string {
	if p, err := netip.ParsePrefix(who); err == nil && p.IsSingleIP() {
		return p.Addr().String()
	}
	return who
}

// rounded returns a time as the file has it.
func rounded(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return at.Round(0).Truncate(time.Millisecond)
}

// opener is who had a door opened.
type opener struct {
	client  string
	byHand  bool
	theUser uint32
}

func openerOf(client string, uid *uint32) opener {
	o := opener{client: client, byHand: uid != nil}
	if uid != nil {
		o.theUser = *uid
	}
	return o
}
