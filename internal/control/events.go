package control

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// public are the kinds that readers get: nothing that is before an opening, and
// nothing that counts what is.
var public = []EventKind{
	Admitted, MessageAccepted, Opened, OpeningFailed, Refused, Dropped, Closed, CloseFailed,
	InterfaceFound, InterfaceMissing, CaptureFailed, Reloading, Reloaded, ReloadFailed, Stopped, Changed,
}

// VisibleTo reports whether those of a rank may see events of the kind.
func (k EventKind) VisibleTo(r Rank) bool { return r == Admin || slices.Contains(public, k) }

// Takes reports whether a Selection has an event in it: one about its door, and
// its address or a prefix that the address is in.
func (s Selection) Takes(e *Event) bool {
	return (s.Door == "" || s.Door == e.Door) && (!s.Address.IsValid() || s.Address == e.Address || s.within(e.For))
}

// Holds reports whether a Selection has an opening in it, in the same way.
func (s Selection) Holds(o *Opening) bool {
	return (s.Door == "" || s.Door == o.Door) && (!s.Address.IsValid() || s.Address == o.Address || s.within(o.For))
}

func (s Selection) within(prefix string) bool {
	p, err := netip.ParsePrefix(prefix)
	return err == nil && p.Contains(s.Address)
}

// FromEvent returns what the socket says of an event; false if it says nothing,
// as of each packet. What readers may see holds no command.
func FromEvent(at time.Time, e event.Event) (Event, bool) {
	if e.Audience() == event.Debug {
		return Event{}, false
	}
	v := Event{At: at.Truncate(time.Millisecond), Kind: Other, Text: e.Text()}
	for _, tell := range []func(*Event, event.Event) bool{knocks, openings, daemon} {
		if tell(&v, e) {
			return v, true
		}
	}
	if e.Audience()&event.Terminal != 0 {
		v.Kind = Warning
	}
	return v, true
}

// by names who an event is about.
func (v *Event) by(k event.Knocker) { v.Address, v.Host = k.Addr, k.Host }

// knocks tells the events of the way to a door.
func knocks(v *Event, e event.Event) bool {
	switch e := e.(type) {
	case event.Stage:
		v.Kind, v.Door, v.Stage, v.Stages = Stage, e.Door.String(), e.Stage, e.Steps
		v.by(e.Knocker)
	case event.Expired:
		v.Kind, v.Door, v.Stage = Expired, e.Door.String(), e.Stage
		v.by(e.Knocker)
	case event.AttemptFailed:
		v.Kind, v.Door, v.Stage = AttemptFailed, e.Door.String(), e.Stage
		v.by(e.Knocker)
	case event.Ignored:
		v.Kind, v.Door, v.Timeout = Ignored, e.Door.String(), Seconds(e.For)
		v.by(e.Knocker)
	case event.Admitted:
		v.Kind, v.Door = Admitted, e.Door.String()
		v.by(e.Knocker)
	case event.MessageAccepted:
		v.Kind, v.Door, v.Client, v.What, v.Timeout = MessageAccepted, e.Door.String(), e.Client, knock.PortNames(e.Ports, ", "), Seconds(e.Timeout)
		v.Address = e.For
	case event.MessageRefused:
		v.Kind, v.Door, v.Client, v.Address = MessageRefused, e.Door.String(), e.Client, e.Src
	case event.Evicted:
		v.Kind, v.Door = LimitReached, e.Door.String()
	case event.MessagesDropped, event.PacketsLost, event.LeftOut:
		v.Kind = LimitReached
	default:
		return false
	}
	return true
}

// openings tells the events of a door that opens and closes.
func openings(v *Event, e event.Event) bool {
	switch e := e.(type) {
	case event.Refused:
		v.of(Refused, &e.Opening)
	case event.Opened:
		v.of(Opened, &e.Opening)
		v.Timeout = Seconds(e.Timeout)
	case event.Dropped:
		v.of(Dropped, &e.Opening)
		v.Why = e.Why
	case event.Closed:
		v.of(Closed, &e.Opening)
		v.Why = e.Why
	case event.Failed:
		v.failed(&e.Opening, e.Close)
	case event.CommandEnded:
		if v.failed(&e.Opening, e.Stop); e.Result.OK() {
			v.Kind = Other
		}
	case event.GivenUp:
		v.failed(&e.Opening, e.Close)
		v.Text = fmt.Sprintf("%s: given up for %s (%v)", e.Opening.Door.Name, e.Opening.For, e.Result)
	case event.CommandStarted:
		v.of(Other, &e.Opening)
	case event.Waiting:
		v.of(Other, &e.Opening)
	case event.CommandOrphaned:
		v.of(Other, &e.Opening)
	default:
		return false
	}
	return true
}

// of names the opening that an event is about.
func (v *Event) of(kind EventKind, o *event.Opening) {
	v.Kind, v.Door, v.For = kind, o.Door.String(), o.For
	if o.Native {
		v.What = o.What
	}
	v.Client, v.UID = o.Client, o.UID
	v.by(o.Knocker)
}

func (v *Event) failed(o *event.Opening, close bool) {
	if v.of(OpeningFailed, o); close {
		v.Kind = CloseFailed
	}
}

// daemon tells what becomes of knockd itself.
func daemon(v *Event, e event.Event) bool {
	switch e := e.(type) {
	case event.InterfaceFound:
		v.Kind, v.Interface = InterfaceFound, e.Interface
	case event.InterfaceMissing:
		v.Kind, v.Interface = InterfaceMissing, e.Interface
	case event.CaptureFailed:
		v.Kind = CaptureFailed
	case event.Reloading:
		v.Kind = Reloading
	case event.Reloaded:
		v.Kind = Reloaded
	case event.ReloadRefused: // the faults may name what is in the file
		v.Kind, v.Text = ReloadFailed, "configuration not changed"
	case event.Stopped:
		v.Kind = Stopped
	case event.OpenedByHand:
		v.Kind, v.Door, v.Address, v.For, v.Timeout, v.UID = Changed, e.Door.String(), e.Addr, e.For, Seconds(e.Timeout), &e.UID
	case event.ClosedByHand:
		v.Kind, v.Address, v.UID = Changed, e.Addr, &e.UID
		if e.Door != (knock.DoorID{}) {
			v.Door = e.Door.String()
		}
	case event.ReloadedByHand:
		v.Kind, v.UID = Changed, &e.UID
	default:
		return false
	}
	return true
}
