package knock_test

import (
	"testing"
	"time"

	"knockd/internal/knock"
)

func TestRepeats(t *testing.T) { runRules(t, "testdata/repeats.txt") }

// TestRepeatsOfAnotherPort: the source port belongs to what makes a repeat.
func TestRepeatsOfAnotherPort(t *testing.T) {
	tracker := newTracker(t, 10, "a: 1,1")
	h := parseHit(t, 0, []string{"10.0.0.1", "1"})
	tracker.Observe(h, start)
	if events := tracker.Observe(h, start); len(events) != 0 {
		t.Errorf("the same segment: %s", render(events))
	}
	h.SrcPort++
	if got, want := render(tracker.Observe(h, start)), " STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1"; got != want {
		t.Errorf("from another port: %q, want %q", got, want)
	}
	if got := tracker.Stats().Repeats; got != 1 {
		t.Errorf("%d repeats counted, want 1", got)
	}
}

// TestRepeatsAreBounded: whatever comes, the latest hits that took a step are
// known again, save a few whose place in the table many others wanted.
func TestRepeatsAreBounded(t *testing.T) {
	tracker := newTracker(t, 16, "a: 1")
	const n = 3 * knock.RepeatEntries
	for i := range uint32(n) {
		tracker.Observe(first(i), start)
	}
	const latest = knock.RepeatEntries / 8
	known := 0
	for i := range uint32(latest) {
		if len(tracker.Observe(first(n-latest+i), start.Add(time.Second))) == 0 {
			known++
		}
	}
	if known < latest*98/100 {
		t.Errorf("%d of the latest %d hits are known", known, latest)
	}
}
