package history

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

var (
	began = time.Date(2026, 11, 28, 9, 30, 0, 123_000_000, time.UTC)
	ssh   = knock.DoorID{Name: "ssh", N: 1}
	web   = knock.DoorID{Name: "web", N: 2}
)

// after is a time of the test.
func after(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }

// native and command are openings of the two kinds.
func native(door knock.DoorID, addr string) event.Opening {
	return event.Opening{Door: door, Knocker: event.Knocker{Addr: netip.MustParseAddr(addr)}, For: addr, Native: true, What: "tcp/22"}
}

func command(door knock.DoorID, addr string) event.Opening {
	return event.Opening{Door: door, Knocker: event.Knocker{Addr: netip.MustParseAddr(addr)}, For: addr, What: "a command"}
}

func user(id uint32) *uint32 { return &id }

// asking returns an opening that a client has asked for.
func asking(o event.Opening, client string) event.Opening {
	o.Client = client
	return o
}

// inMemory is a history without a file.
func inMemory(t *testing.T, octets int64) *History {
	t.Helper()
	h := New(Settings{Octets: octets, Age: DefaultAge}, func(e event.Event) { t.Error(e.Text()) })
	h.now = func() time.Time { return after(3600) }
	t.Cleanup(h.Close)
	return h
}

// recorded is what a history says, the newest first.
func recorded(h *History, q Query) (list []string) {
	for page := range h.Visits(q) {
		for _, v := range page {
			list = append(list, spell(&v))
		}
	}
	return list
}

// spell writes a visit with its times in seconds.
func spell(v *Visit) string {
	text := fmt.Sprintf("%v %v", v.Door, v.Knocker)
	if v.For != v.Knocker.Addr.String() {
		text += " for " + v.For
	}
	if v.What != "" {
		text += " " + v.What
	}
	if v.Client != "" {
		text += " client " + v.Client
	}
	if v.UID != nil {
		text += fmt.Sprintf(" user %d", *v.UID)
	}
	text += fmt.Sprintf(" %.0f-", v.Opened.Sub(began).Seconds())
	if !v.Closed.IsZero() {
		text += fmt.Sprintf("%.0f", v.Closed.Sub(began).Seconds())
	}
	if v.Why != "" {
		text += ": " + v.Why
	}
	return text
}

// TestVisits: what happens, and what is remembered of it.
func TestVisits(t *testing.T) {
	const a, b = "192.0.2.7", "2001:db8::1"
	wide := native(web, a)
	wide.For, wide.Knocker.Host = "192.0.2.0/24", "host.example"
	stays := command(ssh, a)
	stays.Stays = true
	byHand := native(ssh, a)
	byHand.UID = user(0)
	ports := event.Opening{Door: ssh, Knocker: event.Knocker{Addr: netip.MustParseAddr(a)}, For: a + "/32", Native: true}
	for _, c := range []struct {
		name   string
		events []event.Event // a second apart
		want   []string
	}{
		{"a native opening", []event.Event{event.Opened{Opening: native(ssh, a)}, event.Closed{Opening: native(ssh, a)}},
			[]string{"ssh 192.0.2.7 tcp/22 0-1"}},
		{"a prefix, a name, a reason", []event.Event{event.Opened{Opening: wide}, event.Closed{Opening: wide, Why: "door removed"}},
			[]string{"web#2 192.0.2.7 (host.example) for 192.0.2.0/24 tcp/22 0-1: door removed"}},
		{"one that goes on is one visit", []event.Event{
			event.Opened{Opening: native(ssh, a)}, event.Opened{Opening: native(ssh, a)}, event.Closed{Opening: native(ssh, a)}},
			[]string{"ssh 192.0.2.7 tcp/22 0-2"}},
		{"but not by another hand", []event.Event{
			event.Opened{Opening: native(ssh, a)}, event.Opened{Opening: byHand}, event.Opened{Opening: asking(native(ssh, a), "laptop")}},
			[]string{"ssh 192.0.2.7 tcp/22 client laptop 2-", "ssh 192.0.2.7 tcp/22 user 0 1-2: opened anew", "ssh 192.0.2.7 tcp/22 0-1: opened anew"}},
		{"commands are visits each", []event.Event{
			event.CommandStarted{Opening: command(ssh, a)}, event.CommandStarted{Opening: command(ssh, a)},
			event.Closed{Opening: command(ssh, a)}, event.CommandStarted{Opening: command(ssh, a), Stop: true}},
			[]string{"ssh 192.0.2.7 1-", "ssh 192.0.2.7 0-2"}},
		{"nothing closes it", []event.Event{event.CommandStarted{Opening: stays}, event.Closed{Opening: stays}},
			[]string{"ssh 192.0.2.7 0-: nothing closes it"}},
		{"a command that could not be run", []event.Event{
			event.CommandStarted{Opening: command(ssh, b)}, event.Failed{Opening: command(ssh, b), Again: true, Err: errForeign}, event.GivenUp{Opening: command(ssh, b)}},
			[]string{"ssh 2001:db8::1 0-2: its command could not be run"}},
		{"one that does not close", []event.Event{
			event.Opened{Opening: native(ssh, b)}, event.Failed{Opening: native(ssh, b), Close: true, Err: errForeign}, event.GivenUp{Opening: native(ssh, b), Close: true}},
			[]string{"ssh 2001:db8::1 tcp/22 0-: it could not be closed"}},
		{"a stop command that fails", []event.Event{
			event.CommandStarted{Opening: command(ssh, b)}, event.Closed{Opening: command(ssh, b)}, event.GivenUp{Opening: command(ssh, b), Close: true}},
			[]string{"ssh 2001:db8::1 0-1"}},
		{"closed by others", []event.Event{
			event.Opened{Opening: native(ssh, a)}, event.Opened{Opening: native(ssh, b)}, event.CommandStarted{Opening: command(ssh, a)},
			event.ClosedByOthers{By: "nft (pid 7)", Closed: []event.Opening{ports}}, event.Closed{Opening: native(ssh, a)}},
			[]string{"ssh 192.0.2.7 2-", "ssh 2001:db8::1 tcp/22 1-", "ssh 192.0.2.7 tcp/22 0-3: closed by nft (pid 7)"}},
		{"closed by others, one port", []event.Event{
			event.Opened{Opening: native(ssh, a)}, event.Restored{By: "ufw", Closed: []event.Opening{native(ssh, a), native(ssh, b)}}},
			[]string{"ssh 192.0.2.7 tcp/22 0-1: closed by ufw"}},
		{"what is no visit", []event.Event{
			event.Admitted{Door: ssh}, event.Refused{Opening: native(ssh, a)}, event.Waiting{Opening: native(ssh, a)}, event.Dropped{Opening: native(ssh, a)},
			event.Closed{Opening: native(ssh, a)}, event.Failed{Opening: native(ssh, a), Err: errForeign}, event.CommandEnded{Opening: command(ssh, a)},
			event.CommandStarted{Opening: command(ssh, a), Stop: true}, event.ClosedByOthers{Closed: []event.Opening{ports}}}, nil},
	} {
		h := inMemory(t, DefaultOctets)
		for i, e := range c.events {
			h.Event(after(i), e)
		}
		if got := recorded(h, Query{}); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestQueries(t *testing.T) {
	h := inMemory(t, DefaultOctets)
	wide := native(web, "192.0.2.7")
	wide.For = "192.0.2.0/24"
	h.Event(after(0), event.Opened{Opening: native(ssh, "192.0.2.7")})
	h.Event(after(1), event.Opened{Opening: wide})
	h.Event(after(2), event.Opened{Opening: native(ssh, "2001:db8::1")})
	first, second, third := "ssh 192.0.2.7 tcp/22 0-", "web#2 192.0.2.7 for 192.0.2.0/24 tcp/22 1-", "ssh 2001:db8::1 tcp/22 2-"
	for _, c := range []struct {
		q    Query
		want []string
	}{
		{Query{}, []string{third, second, first}},
		{Query{Since: rounded(after(1))}, []string{third, second}},
		{Query{Since: after(3)}, nil},
		{Query{Door: ssh}, []string{third, first}},
		{Query{Door: knock.DoorID{Name: "web", N: 1}}, nil},
		{Query{Address: netip.MustParseAddr("192.0.2.7")}, []string{second, first}},
		{Query{Address: netip.MustParseAddr("192.0.2.9")}, []string{second}},
		{Query{Address: netip.MustParseAddr("2001:db8::1"), Door: ssh}, []string{third}},
	} {
		if got := recorded(h, c.q); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.q, got, c.want)
		}
	}
}

// TestPages: a long history comes whole, in order, while it grows.
func TestPages(t *testing.T) {
	h := inMemory(t, DefaultOctets)
	const n = 3*pageLength + 7
	for i := range n {
		h.Event(after(i), event.CommandStarted{Opening: command(ssh, "192.0.2.7")})
	}
	seen := 0
	for page := range h.Visits(Query{}) {
		for _, v := range page {
			seen++
			if want := fmt.Sprintf("ssh 192.0.2.7 %d-", n-seen); spell(&v) != want {
				t.Fatalf("%s, want %s", spell(&v), want)
			}
		}
		h.Event(after(n), event.CommandStarted{Opening: command(web, "192.0.2.7")})
	}
	if seen != n {
		t.Errorf("%d visits, want %d", seen, n)
	}
	for range h.Visits(Query{}) {
		break // and no harm is done
	}
}

// TestShared: who opens one door as often as can be takes nobody's past away but
// that door's, and memory stays bounded.
func TestShared(t *testing.T) {
	const room = 64 << 10
	h := inMemory(t, room)
	for i := range 20 {
		h.Event(after(i), event.Opened{Opening: native(web, fmt.Sprintf("192.0.2.%d", i))})
	}
	for i := range 10_000 {
		h.Event(after(20+i), event.CommandStarted{Opening: command(ssh, fmt.Sprintf("10.0.%d.%d", i>>8, i&255))})
	}
	if got := len(recorded(h, Query{Door: web})); got != 20 {
		t.Errorf("%d of 20 visits at the other door are left", got)
	}
	left := recorded(h, Query{Door: ssh})
	if len(left) < 100 || h.octets > room/2 || len(h.open) > len(left)+20 {
		t.Errorf("%d visits of %d octets, %d open", len(left), h.octets, len(h.open))
	}
	if want := "ssh 10.0.39.15 10019-"; left[0] != want {
		t.Errorf("the newest is %s, want %s", left[0], want)
	}
	for i := range 10_000 { // what is forgotten can end all the same
		h.Event(after(20_000), event.Closed{Opening: command(ssh, fmt.Sprintf("10.0.%d.%d", i>>8, i&255))})
	}
	if len(h.open) != 20 || h.octets > room/2 {
		t.Errorf("%d open, %d octets", len(h.open), h.octets)
	}
	consistent(t, h)
}

// consistent checks the sums.
func consistent(t *testing.T, h *History) {
	t.Helper()
	octets, open, ofDoors := int64(0), 0, int64(0)
	for at := h.visits.Front(); at != nil; at = at.Next() {
		e := at.Value.(*entry)
		octets += e.octets
		if e.Lasts() {
			open++
		}
	}
	for _, d := range h.doors {
		ofDoors += d.octets
	}
	for _, list := range h.open {
		open -= len(list)
	}
	if octets != h.octets || ofDoors != octets || open != 0 || len(h.crowds) != len(h.doors) {
		t.Errorf("%d octets counted, %d and %d summed; %d more open; %d doors, %d in the heap", h.octets, octets, ofDoors, open, len(h.doors), len(h.crowds))
	}
}

// TestAge: what is over is forgotten in time, what lasts is not.
func TestAge(t *testing.T) {
	h := inMemory(t, DefaultOctets)
	h.Event(after(0), event.Opened{Opening: native(web, "192.0.2.1")})
	h.Event(after(1), event.Opened{Opening: native(ssh, "192.0.2.1")})
	h.Event(after(2), event.Closed{Opening: native(ssh, "192.0.2.1")})
	h.now = func() time.Time { return began.Add(DefaultAge + time.Second - time.Millisecond) }
	if got := recorded(h, Query{}); len(got) != 2 {
		t.Errorf("before its time: %q", got)
	}
	h.now = func() time.Time { return began.Add(DefaultAge + time.Second + time.Millisecond) }
	if got := recorded(h, Query{}); len(got) != 1 || got[0] != "web#2 192.0.2.1 tcp/22 0-" {
		t.Errorf("after it: %q", got)
	}
	h.Set(Settings{Octets: DefaultOctets, Age: time.Hour})
	if got := recorded(h, Query{}); len(got) != 1 {
		t.Errorf("what lasts: %q", got)
	}
	h.Event(h.now(), event.Closed{Opening: native(web, "192.0.2.1")})
	if got := recorded(h, Query{}); len(got) != 0 {
		t.Errorf("when it is over: %q", got)
	}
	consistent(t, h)
}

// TestReconcile: what lasts though nothing is open has ended, nobody knows when.
func TestReconcile(t *testing.T) {
	h := inMemory(t, DefaultOctets)
	for i, o := range []event.Opening{native(ssh, "192.0.2.1"), native(ssh, "192.0.2.2"), command(web, "192.0.2.1"), command(web, "192.0.2.1")} {
		if o.Native {
			h.Event(after(i), event.Opened{Opening: o})
		} else {
			h.Event(after(i), event.CommandStarted{Opening: o})
		}
	}
	a := netip.MustParseAddr("192.0.2.1")
	h.Reconcile([]knock.Opening{{Door: ssh, Addr: a, What: "tcp/22", Action: "nft"}, {Door: web, Addr: a, What: "a command", Action: "command"}})
	want := []string{"web#2 192.0.2.1 3-", "web#2 192.0.2.1 2-: knockd was not running", "ssh 192.0.2.2 tcp/22 1-: knockd was not running", "ssh 192.0.2.1 tcp/22 0-"}
	if got := recorded(h, Query{}); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}

// TestManyClosed: somebody who empties the kernel's table makes no work that
// grows with the square of what was open.
func TestManyClosed(t *testing.T) {
	h := inMemory(t, MaxOctets)
	var all []event.Opening
	for i := range 20_000 {
		o := native(ssh, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String())
		h.Event(after(i), event.Opened{Opening: o})
		o.What = ""
		all = append(all, o)
	}
	h.Event(after(20_000), event.ClosedByOthers{By: "nft", Closed: all})
	if len(h.open) != 0 {
		t.Errorf("%d open", len(h.open))
	}
}
