package knock_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"knockd/internal/conformance"
	"knockd/internal/knock"
)

// TestSetDoors: attempts at doors that stay go on, all others end silently,
// wherever the doors stand in the file.
func TestSetDoors(t *testing.T) {
	tracker := knock.NewTracker(10)
	tracker.SetLocal(conformance.Local)
	a, b, c := door(t, "a: 1,2 timeout 5"), door(t, "b: 3,4 timeout 6"), door(t, "c: 5,6 timeout 7")
	tracker.SetDoors([]*knock.Door{a, b, c})
	script(t, tracker, "0 10.0.0.1 1\n0 10.0.0.2 3\n0 10.0.0.3 5")
	again := *a
	tracker.SetDoors([]*knock.Door{c, &again, b})
	if err := tracker.Check(); err != nil {
		t.Error(err)
	}
	for _, step := range [][2]string{
		{"1 10.0.0.1 2 #9", "1 10.0.0.1 2 #9|\n"}, // a is another door now
		{"1 10.0.0.1 1 #9", "1 10.0.0.1 1 #9| STAGE 1 a 10.0.0.1\n"},
		{"1 10.0.0.2 4 #9", "1 10.0.0.2 4 #9| STAGE 2 b 10.0.0.2, OPEN b 10.0.0.2\n"},
		{"7 expire", "7 expire| EXPIRED 1 a 10.0.0.1, EXPIRED 1 c 10.0.0.3\n"},
	} {
		if got := script(t, tracker, step[0]); got != step[1] {
			t.Errorf("got %q, want %q", got, step[1])
		}
	}
	tracker.SetDoors(nil)
	if got := script(t, tracker, "8 10.0.0.1 1"); got != "8 10.0.0.1 1|\n" {
		t.Errorf("without doors: %q", got)
	}
}

// TestSetDoorsForgetsOldTimeouts: reloading for ever costs nothing.
func TestSetDoorsForgetsOldTimeouts(t *testing.T) {
	tracker := knock.NewTracker(100)
	tracker.SetLocal(conformance.Local)
	kept := door(t, "kept: 9,9 timeout 3600")
	for i := range 1000 {
		d := door(t, fmt.Sprintf("a: 1,2 timeout %d", i+1))
		tracker.SetDoors([]*knock.Door{d, kept})
		at := start.Add(time.Duration(i) * time.Millisecond)
		tracker.Observe(first(uint32(i)), at)
		if i == 0 {
			tracker.Observe(parseHit(t, 0, []string{"10.0.0.1", "9"}), at)
		}
		if err := tracker.Check(); err != nil {
			t.Fatal(err)
		}
	}
	if n := tracker.Timeouts(); n > 3 {
		t.Errorf("%d queues for 2 timeouts", n)
	}
	if n := tracker.Stats().Attempts; n != 2 {
		t.Errorf("%d attempts live, want 2", n)
	}
}

// TestSetLocal: what is local is what was said last, without zones and as
// plain IPv4; live attempts go on.
func TestSetLocal(t *testing.T) {
	tracker := newTracker(t, 10, "a: 1,2,3")
	got := script(t, tracker, "0 10.0.0.1 1\n0 10.0.0.2 > 192.0.2.1 1")
	tracker.SetLocal([]netip.Addr{netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("fe80::1%eth0")})
	got += script(t, tracker, "1 10.0.0.1 2\n1 10.0.0.1 > 192.0.2.1 2\n2 10.0.0.1 > fe80::1 3")
	want := `0 10.0.0.1 1| STAGE 1 a 10.0.0.1
0 10.0.0.2 > 192.0.2.1 1|
1 10.0.0.1 2|
1 10.0.0.1 > 192.0.2.1 2| STAGE 2 a 10.0.0.1
2 10.0.0.1 > fe80::1 3| STAGE 3 a 10.0.0.1, OPEN a 10.0.0.1
`
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}
