package doors

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestDry(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	at := func(s float64) time.Time { return begin.Add(time.Duration(s * float64(time.Second))) }
	var log strings.Builder
	write := func(now time.Time, text string) { fmt.Fprintf(&log, "%g %s\n", now.Sub(begin).Seconds(), text) }
	d := NewDry(write)
	d.Open(opening("open a", "close a", 10*time.Second), at(0), func() { write(at(0), "OPEN SESAME") })
	d.Advance(at(1))
	d.Open(opening("open b", "close b", 2*time.Second), at(1), nil)
	d.Open(opening("open c", "", 2*time.Second), at(1), nil)
	if next, ok := d.Next(); !ok || !next.Equal(at(3)) {
		t.Errorf("next %v, %v", next, ok)
	}
	d.Advance(at(2.5))
	d.Advance(at(60))
	wantText(t, log.String(), `
0 OPEN SESAME
0 ssh: running command: open a
1 ssh: running command: open b
1 ssh: running command: open c
3 192.0.2.1: ssh: command timeout
3 ssh: running command: close b
10 192.0.2.1: ssh: command timeout
10 ssh: running command: close a
`)
	if _, ok := d.Next(); ok {
		t.Error("something is left")
	}
}

func TestExpand(t *testing.T) {
	v := Vars{IP: "2001:db8::1", Door: "%IP%", Port: "22", Proto: "tcp"}
	got := v.Expand("%IP% %%IP%% %DOOR% %PORT%/%PROTO% %ip% % %IP")
	if want := "2001:db8::1 %2001:db8::1% %IP% 22/tcp %ip% % %IP"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
