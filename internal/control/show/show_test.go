package show

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"knockd/internal/control"
)

// evil is what no terminal must get.
const evil = "a\x1b]0;b\x07\r\n\x9bc\u202e"

// poison fills every text of a value with what is evil, and every list with two.
func poison(v reflect.Value) {
	switch v.Interface().(type) {
	case time.Time, netip.Prefix:
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.MustParseAddr("fe80::1%x\x1b[31m")))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(evil)
	case reflect.Struct:
		for i := range v.NumField() {
			poison(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			poison(v.Index(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		poison(v.Elem())
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(3)
	}
}

// obeyed is what a terminal would do something about, but for what is ours.
func obeyed(text string) string {
	for _, mine := range []string{"\n", "\r\x1b[K"} {
		text = strings.ReplaceAll(text, mine, "")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' {
			return r
		}
		return -1
	}, text)
}

// TestEvil: nothing that a daemon answers does anything to a terminal.
func TestEvil(t *testing.T) {
	var o Overview
	poison(reflect.ValueOf(&o).Elem())
	p := &Page{Now: time.Now(), All: true}
	texts := map[string]string{"status": p.Status(&o)}
	o.Status.Reload.Taken, o.Status.Interfaces[0].Since, o.Doors[0].Last = true, p.Now, p.Now
	o.Doors[0].Door = "d"
	o.Openings[0].State, o.Openings[0].Left, o.Openings[0].Door = control.StateOpen, nil, "d"
	o.Openings[1].By, o.Openings[1].Door, o.Attempts[0].Door = control.ByMessage, "d", "d"
	texts["status 2"] = p.Status(&o)
	var visits []control.Visit
	for _, by := range []string{control.ByMessage, control.ByOperator, evil} {
		var v control.Visit
		poison(reflect.ValueOf(&v).Elem())
		v.By = by
		visits = append(visits, v)
	}
	texts["history"] = p.History(visits)
	for _, columns := range []int{0, 10, 80} {
		var b strings.Builder
		l := &Lines{W: &b, Columns: columns}
		for range 2 {
			for _, kind := range []control.EventKind{control.Stage, control.Admitted, control.Opened, control.Stage, control.AttemptFailed, control.Stage, control.Expired, control.Closed, evil} {
				var e control.Event
				poison(reflect.ValueOf(&e).Elem())
				e.Kind = kind
				if err := l.Event(&e); err != nil {
					t.Fatal(err)
				}
			}
		}
		texts["watch"] += b.String()
	}
	for what, text := range texts {
		if got := obeyed(text); got != "" || len(text) < 100 {
			t.Errorf("%s: %q in\n%q", what, got, text)
		}
	}
}

// TestManyWays: however many knock, a bounded number is remembered, and each line
// says what it says.
func TestManyWays(t *testing.T) {
	var b strings.Builder
	l := &Lines{W: &b, Columns: 80}
	for i := range 10 * maxWays {
		e := control.Event{Kind: control.Stage, Door: "d", Stage: 1, Address: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
		if err := l.Event(&e); err != nil {
			t.Fatal(err)
		}
		if len(l.ways) > maxWays {
			t.Fatal(len(l.ways))
		}
	}
	if n := strings.Count(b.String(), "\n"); n != 10*maxWays-1 {
		t.Errorf("%d lines", n)
	}
}

// TestManyDoors: of many doors those are shown at which something goes on.
func TestManyDoors(t *testing.T) {
	o := &Overview{}
	for range fewDoors + 1 {
		o.Doors = append(o.Doors, control.Door{Door: "quiet"})
	}
	o.Doors = append(o.Doors, control.Door{Door: "busy", Openings: control.Count{Current: 1}})
	text := (&Page{}).Status(o)
	if !strings.Contains(text, "door: busy") || strings.Contains(text, "door: quiet") || !strings.HasSuffix(text, "\n51 doors at which nothing goes on (--all)\n") {
		t.Error(text)
	}
	if text := (&Page{All: true}).Status(o); strings.Count(text, "door: quiet") != 51 {
		t.Error(text)
	}
}
