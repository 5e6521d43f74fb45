package knock_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// runRules plays the scripts of a file in testdata: behind the name of each the
// doors, then what script takes.
func runRules(t *testing.T, file string) {
	for test := range strings.SplitSeq(nettest.Read(t, file), "\n\n") {
		name, rest, _ := strings.Cut(strings.TrimPrefix(test, "# "), "\n")
		var doors []string
		for strings.HasPrefix(rest, "door ") {
			door, more, _ := strings.Cut(rest, "\n")
			doors, rest = append(doors, strings.TrimPrefix(door, "door ")), more
		}
		t.Run(name, func(t *testing.T) {
			want := strings.TrimSpace(rest) + "\n"
			if diff := cmp.Diff(want, script(t, newTracker(t, knock.DefaultMaxAttempts, doors...), want)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestSequences(t *testing.T) { runRules(t, "testdata/sequences.txt") }

func TestNextIsTheFirstDeadline(t *testing.T) {
	tracker := newTracker(t, 10, "a: 1,2 timeout 9", "b: 3,4 timeout 2")
	if at, ok := tracker.Next(); ok {
		t.Errorf("an empty tracker has a deadline at %v", at)
	}
	script(t, tracker, "0 10.0.0.1 1\n1 10.0.0.2 3\n1.5 10.0.0.3 3")
	for _, want := range []time.Duration{3 * time.Second, 3500 * time.Millisecond, 9 * time.Second} {
		at, ok := tracker.Next()
		if !ok || !at.Equal(start.Add(want)) {
			t.Fatalf("next is %v (%v), want %v", at, ok, start.Add(want))
		}
		if events := tracker.Expire(at.Add(-1)); len(events) != 0 {
			t.Errorf("before its time: %s", render(events))
		}
		if events := tracker.Expire(at); len(events) != 1 {
			t.Errorf("at its time: %s", render(events))
		}
	}
}

// TestDecisionCarriesItsHit: what opened a door is known to whoever opens it.
func TestDecisionCarriesItsHit(t *testing.T) {
	tracker := newTracker(t, 10, "a: 1")
	h := parseHit(t, 0, []string{"10.0.0.1", "1"})
	h.IfIndex, h.PayloadLen = 7, 3
	for _, e := range tracker.Observe(h, start) {
		if e.Hit != h {
			t.Errorf("decision has %+v, want %+v", e.Hit, h)
		}
	}
}

// TestYear2040: attempts expire on time with a clock beyond 2038, and across it.
func TestYear2040(t *testing.T) {
	for _, begin := range []time.Time{time.Unix(1<<31-2, 0), time.Date(2040, 2, 29, 12, 0, 0, 0, time.UTC)} {
		tracker := newTracker(t, 10, "a: 1,2")
		for n, c := range []struct {
			later time.Duration
			port  string
			want  string
		}{
			{0, "1", " STAGE 1 a 10.0.0.1"},
			{9 * time.Second, "2", " STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1"},
			{10 * time.Second, "1", " STAGE 1 a 10.0.0.1"},
			{20 * time.Second, "2", " EXPIRED 1 a 10.0.0.1"},
		} {
			hit := parseHit(t, uint32(n), []string{"10.0.0.1", c.port})
			if got := render(tracker.Observe(hit, begin.Add(c.later))); got != c.want {
				t.Errorf("%v after %v: %q, want %q", c.later, begin, got, c.want)
			}
		}
	}
}
