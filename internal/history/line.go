package history

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// The file is lines of JSON. The first one says what it is; each other one says
// how a visit began, how it ended, or both.
const header = `{"history":"knockd","version":1}` + "\n"

// line is what one line says of a visit.
type line struct {
	N       uint64     `json:"n"`
	Opened  time.Time  `json:"opened,omitzero"`
	Door    string     `json:"door,omitempty"`
	Nth     int        `json:"nth,omitempty"` // of the doors of that name, from 2
	Address netip.Addr `json:"address,omitzero"`
	Host    string     `json:"host,omitempty"`
	For     string     `json:"for,omitempty"` // whom, if not the address
	What    string     `json:"what,omitempty"`
	Client  string     `json:"client,omitempty"`
	UID     *uint32    `json:"uid,omitempty"`
	Closed  time.Time  `json:"closed,omitzero"`
	Why     string     `json:"why,omitempty"`
}

// appendVisit appends all that there is to say of a visit.
func appendVisit(b []byte, e *entry) []byte {
	l := line{
		N: e.n, Opened: e.Opened, Door: e.Door.Name, Address: e.Knocker.Addr, Host: e.Knocker.Host, What: e.What,
		Client: e.Client, UID: e.UID, Closed: e.Closed, Why: e.Why,
	}
	if e.Door.N > 1 {
		l.Nth = e.Door.N
	}
	if e.For != e.Knocker.Addr.String() {
		l.For = e.For
	}
	return appendLine(b, l)
}

// appendEnd appends how a visit ended.
func appendEnd(b []byte, e *entry) []byte {
	return appendLine(b, line{N: e.n, Closed: e.Closed, Why: e.Why})
}

func appendLine(b []byte, l line) []byte {
	text, err := json.Marshal(l)
	if err != nil {
		return b // a year of more than four digits: the clock is set wrong
	}
	return append(append(b, text...), '\n')
}

// visit returns what a line says of the beginning; ok is false if it says
// nothing.
func (l *line) visit() (v Visit, ok bool) {
	v = Visit{
		Door: knock.DoorID{Name: l.Door, N: max(l.Nth, 1)}, Knocker: event.Knocker{Addr: l.Address, Host: l.Host},
		For: l.For, What: l.What, Client: l.Client, UID: l.UID, Opened: rounded(l.Opened), Closed: rounded(l.Closed), Why: l.Why,
	}
	if v.For == "" {
		v.For = l.Address.String()
	}
	return v, l.Door != "" && l.Address.IsValid() && !l.Opened.IsZero()
}

// kept is what a file holds.
type kept struct {
	visits  []*Visit // in the order of the file
	damaged int      // whole lines that say nothing
	foreign bool     // it is no history
}

// parse reads a file. A last line without an end was being written when the
// machine or the disk gave up: it does not count.
func parse(text []byte) (k kept) {
	rest, ok := bytes.CutPrefix(text, []byte(header))
	if !ok {
		k.foreign = !bytes.HasPrefix([]byte(header), text)
		return k
	}
	last := map[uint64]*Visit{} // by number
	for {
		b, more, whole := bytes.Cut(rest, []byte{'\n'})
		if !whole {
			return k
		}
		rest = more
		if l, ok := parseLine(b); !ok || !k.apply(&l, last) {
			k.damaged++
		}
	}
}

// maxLine is the length of a line that says something, at most.
const maxLine = 16 << 10

func parseLine(b []byte) (l line, ok bool) {
	return l, len(b) <= maxLine && json.Unmarshal(b, &l) == nil
}

// apply takes in a line. What was written while the file was written anew can be
// in it twice, and the end of a visit without its beginning.
func (k *kept) apply(l *line, last map[uint64]*Visit) bool {
	v, begins := l.visit()
	before, known := last[l.N]
	switch {
	case begins && !known:
		k.visits = append(k.visits, &v)
		last[l.N] = &v
	case !begins && l.Closed.IsZero() && l.Why == "":
		return false
	case !begins && before != nil && before.Lasts():
		before.Closed, before.Why = v.Closed, v.Why
	}
	return true
}
