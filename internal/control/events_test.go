package control

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// TestFromEvent: what the socket says of events, and whether readers see it. A
// command is never in what they see.
func TestFromEvent(t *testing.T) {
	const command = "open --password=hush"
	ssh, addr := knock.DoorID{Name: "ssh", N: 2}, netip.MustParseAddr("192.0.2.7")
	who := event.Knocker{Addr: addr, Host: "host.example"}
	uid := uint32(1000)
	native := event.Opening{Door: ssh, Knocker: who, For: "192.0.2.0/24", Native: true, What: "tcp/22", UID: &uid}
	run := event.Opening{Door: ssh, Knocker: who, For: "192.0.2.7", What: "a command", Client: "laptop"}
	failed := event.Result{Status: 3}
	for _, c := range []struct {
		event  event.Event
		kind   EventKind
		public bool
		about  string // door, address, For, What
	}{
		{event.Stage{Door: ssh, Knocker: who, Stage: 1, Steps: 3}, Stage, false, "ssh#2 192.0.2.7"},
		{event.Expired{Door: ssh, Knocker: who, Stage: 1}, Expired, false, "ssh#2 192.0.2.7"},
		{event.AttemptFailed{Door: ssh, Knocker: who, Stage: 1}, AttemptFailed, false, "ssh#2 192.0.2.7"},
		{event.Ignored{Door: ssh, Knocker: who}, Ignored, false, "ssh#2 192.0.2.7"},
		{event.MessageRefused{Src: addr, Door: ssh}, MessageRefused, false, "ssh#2 192.0.2.7"},
		{event.Evicted{Door: ssh}, LimitReached, false, "ssh#2"},
		{event.MessagesDropped{}, LimitReached, false, ""},
		{event.PacketsLost{}, LimitReached, false, ""},
		{event.LeftOut{}, LimitReached, false, ""},
		{event.Finding{Door: ssh, Finding: "the sequence is ascending"}, Warning, false, ""},
		{event.Fault{Err: errors.New("x")}, Warning, false, ""},
		{event.Started{}, Other, false, ""},
		{event.CommandStarted{Opening: run, Command: command}, Other, false, "ssh#2 192.0.2.7 192.0.2.7"},
		{event.Waiting{Opening: run}, Other, false, "ssh#2 192.0.2.7 192.0.2.7"},
		{event.CommandOrphaned{Opening: run}, Other, false, "ssh#2 192.0.2.7 192.0.2.7"},
		{event.CommandEnded{Opening: run, Again: true}, Other, false, "ssh#2 192.0.2.7 192.0.2.7"},

		{event.Admitted{Door: ssh, Knocker: who}, Admitted, true, "ssh#2 192.0.2.7"},
		{event.MessageAccepted{Door: ssh, For: addr, Src: addr, Client: "laptop"}, MessageAccepted, true, "ssh#2 192.0.2.7"},
		{event.Opened{Opening: native}, Opened, true, "ssh#2 192.0.2.7 192.0.2.0/24 tcp/22"},
		{event.Refused{Opening: native}, Refused, true, "ssh#2 192.0.2.7 192.0.2.0/24 tcp/22"},
		{event.Dropped{Opening: run, Why: "x"}, Dropped, true, "ssh#2 192.0.2.7 192.0.2.7"},
		{event.Closed{Opening: native, Why: "x"}, Closed, true, "ssh#2 192.0.2.7 192.0.2.0/24 tcp/22"},
		{event.Failed{Opening: native, Err: errors.New("x")}, OpeningFailed, true, "ssh#2 192.0.2.7 192.0.2.0/24 tcp/22"},
		{event.Failed{Opening: native, Close: true, Err: errors.New("x")}, CloseFailed, true, "ssh#2 192.0.2.7 192.0.2.0/24 tcp/22"},
		{event.CommandEnded{Opening: run, Result: failed}, OpeningFailed, true, "ssh#2 192.0.2.7 192.0.2.7"},
		{event.CommandEnded{Opening: run, Stop: true, Result: failed}, CloseFailed, true, "ssh#2 192.0.2.7 192.0.2.7"},
		{event.GivenUp{Opening: run, Result: failed, Command: command}, OpeningFailed, true, "ssh#2 192.0.2.7 192.0.2.7"},
		{event.GivenUp{Opening: run, Close: true, Result: failed, Command: command}, CloseFailed, true, "ssh#2 192.0.2.7 192.0.2.7"},
		{event.InterfaceFound{Interface: "eth0"}, InterfaceFound, true, ""},
		{event.InterfaceMissing{Interface: "eth0"}, InterfaceMissing, true, ""},
		{event.CaptureFailed{Err: errors.New("x")}, CaptureFailed, true, ""},
		{event.Reloading{File: "f"}, Reloading, true, ""},
		{event.Reloaded{Doors: 3}, Reloaded, true, ""},
		{event.ReloadRefused{Err: errors.New(command)}, ReloadFailed, true, ""},
		{event.Stopped{}, Stopped, true, ""},
		{event.OpenedByHand{Door: ssh, Addr: addr, For: "192.0.2.7"}, Changed, true, "ssh#2 192.0.2.7 192.0.2.7"},
		{event.ClosedByHand{Door: ssh, Addr: addr}, Changed, true, "ssh#2 192.0.2.7"},
		{event.ClosedByHand{}, Changed, true, ""},
		{event.ReloadedByHand{}, Changed, true, ""},
	} {
		v, ok := FromEvent(time.Now(), c.event)
		about := v.Door
		if v.Address.IsValid() {
			about += " " + v.Address.String()
		}
		about = strings.TrimSpace(about + " " + v.For + " " + v.What)
		if !ok || v.Kind != c.kind || v.Kind.VisibleTo(Reader) != c.public || !v.Kind.VisibleTo(Admin) || strings.TrimSpace(about) != c.about {
			t.Errorf("%T: %v %s, for readers %v, about %q; want %s, %v, %q", c.event, ok, v.Kind, v.Kind.VisibleTo(Reader), about, c.kind, c.public, c.about)
		}
		if c.public && strings.Contains(v.Text, command) {
			t.Errorf("%T shows readers a command: %s", c.event, v.Text)
		}
		if !c.public && v.Text != c.event.Text() {
			t.Errorf("%T: %q", c.event, v.Text)
		}
	}
	for _, e := range []event.Event{event.Packet{}, event.Judged{}, event.Stopping{}} {
		if v, ok := FromEvent(time.Now(), e); ok {
			t.Errorf("%T is told as %+v", e, v)
		}
	}
}

// TestSelection: a door's name, and an address or a prefix that it is in.
func TestSelection(t *testing.T) {
	addr := netip.MustParseAddr
	for _, c := range []struct {
		s     Selection
		door  string
		about string
		whom  string
		want  bool
	}{
		{Selection{}, "ssh", "192.0.2.7", "192.0.2.7", true},
		{Selection{Door: "ssh"}, "ssh", "192.0.2.7", "192.0.2.7", true},
		{Selection{Door: "ssh"}, "ssh#2", "192.0.2.7", "192.0.2.7", false},
		{Selection{Address: addr("192.0.2.7")}, "ssh", "192.0.2.7", "", true},
		{Selection{Address: addr("192.0.2.8")}, "ssh", "192.0.2.7", "192.0.2.7", false},
		{Selection{Address: addr("192.0.2.8")}, "ssh", "192.0.2.7", "192.0.2.0/24", true},
		{Selection{Address: addr("192.0.3.8")}, "ssh", "192.0.2.7", "192.0.2.0/24", false},
		{Selection{Door: "web", Address: addr("192.0.2.7")}, "ssh", "192.0.2.7", "", false},
	} {
		e := &Event{Door: c.door, Address: addr(c.about), For: c.whom}
		o := &Opening{Door: c.door, Address: addr(c.about), For: c.whom}
		if c.s.Takes(e) != c.want || c.s.Holds(o) != c.want {
			t.Errorf("%+v of %+v: %v, %v, want %v", c.s, e, c.s.Takes(e), c.s.Holds(o), c.want)
		}
	}
}
