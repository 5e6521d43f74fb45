package knock_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
)

// spellAttempts writes attempts with their times in seconds.
func spellAttempts(list []knock.Attempt) string {
	var all []string
	for _, a := range list {
		all = append(all, fmt.Sprintf("%s %v %d %v-%v", a.Door.Name, a.Src, a.Stage, a.Began.Sub(start).Seconds(), a.Expires.Sub(start).Seconds()))
	}
	return strings.Join(all, ", ")
}

func TestAttempts(t *testing.T) {
	a, b := door(t, "a: 1,2,3"), door(t, "b: 1,4,5")
	tracker := knock.NewTracker(knock.DefaultMaxAttempts)
	tracker.SetLocal([]netip.Addr{netip.MustParseAddr("10.0.0.9"), parseHit(t, 0, []string{"10.0.0.1", "1"}).Dst})
	tracker.SetDoors([]*knock.Door{a, b, door(t, "c: 9")})
	script(t, tracker, `
		0 10.0.0.1 1 |
		1 10.0.0.1 2 |
		2 10.0.0.2 1 |
		3 10.0.0.3 1 |
		4 10.0.0.3 9 |
		5 10.0.0.4 9 |`)
	first := "a 10.0.0.1 2 0-10"
	for _, c := range []struct{ what, got, want string }{
		{"of a source", spellAttempts(tracker.AttemptsOf(netip.MustParseAddr("10.0.0.2"))), "a 10.0.0.2 1 2-12, b 10.0.0.2 1 2-12"},
		{"of nobody", spellAttempts(tracker.AttemptsOf(netip.MustParseAddr("10.0.0.9"))), ""},
		{"at a door", spellAttempts(tracker.Attempts(a, 9)), "a 10.0.0.2 1 2-12, " + first},
		{"at a door, few", spellAttempts(tracker.Attempts(a, 1)), "a 10.0.0.2 1 2-12"},
		{"at another door", spellAttempts(tracker.Attempts(door(t, "a: 1"), 9)), ""},
		{"all", spellAttempts(tracker.Attempts(nil, 9)), "b 10.0.0.2 1 2-12, a 10.0.0.2 1 2-12, " + first},
		{"a share each", spellAttempts(tracker.Attempts(nil, 2)), "b 10.0.0.2 1 2-12, a 10.0.0.2 1 2-12"},
		{"fewer than doors", spellAttempts(tracker.Attempts(nil, 1)), "b 10.0.0.2 1 2-12"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.what, c.got, c.want)
		}
	}
	script(t, tracker, "20 expire |")
	failed := fmt.Sprint(tracker.FailedAt())
	tracker.SetDoors([]*knock.Door{b, a})
	s := tracker.Stats()
	got := fmt.Sprintf("%d live, %d begun, %d failed, %d expired; %s, %v", s.Attempts, s.Begun, s.Failed, s.Expired, failed, tracker.FailedAt())
	if want := "0 live, 7 begun, 3 failed, 3 expired; map[a:1 b:2], map[a:1 b:2]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestAttemptsBounded: however many attempts there are, as many are looked at as
// were asked for, and a flood at one door hides nobody at another.
func TestAttemptsBounded(t *testing.T) {
	tracker := newTracker(t, 100_000, "a: 1,2", "b: 3,4", "c: 5,6")
	h := parseHit(t, 0, []string{"10.0.0.1", "1"})
	for i := range 100_000 {
		h.Src = netip.AddrFrom4([4]byte{10, 1 + byte(i>>16), byte(i >> 8), byte(i)})
		tracker.Observe(h, start)
	}
	h.Src, h.DstPort = netip.MustParseAddr("192.0.2.7"), 3
	tracker.Observe(h, start)
	begin := time.Now()
	for range 100 {
		list := tracker.Attempts(nil, 1000)
		if len(list) != 1000 || list[0].Src != h.Src || list[1].Door.Name != "a" {
			t.Fatal(len(list), list[0])
		}
	}
	t.Log(time.Since(begin)/100, "for a list of 1000 of", tracker.Stats().Attempts)
}
