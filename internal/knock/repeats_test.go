package knock_test

import (
	"testing"
	"time"

	"knockd/internal/knock"
)

func TestRepeats(t *testing.T) {
	for _, test := range repeatTests {
		t.Run(test.name, test.run)
	}
}

var repeatTests = []ruleTest{{
	"a slow client's kernel sends each SYN again",
	[]string{"a: 1,2,3"}, `
		0 10.0.0.1 1 #1 | STAGE 1 a 10.0.0.1
		1 10.0.0.1 1 #1 |
		1.5 10.0.0.1 2 #2 | STAGE 2 a 10.0.0.1
		2 10.0.0.1 1 #1 |
		2.5 10.0.0.1 2 #2 |
		3 10.0.0.1 3 #3 | STAGE 3 a 10.0.0.1, OPEN a 10.0.0.1
		4 10.0.0.1 3 #3 |`,
}, {
	"repeats alone never open the door again",
	[]string{"a: 1,2 timeout 5"}, `
		0 10.0.0.1 1 #1 | STAGE 1 a 10.0.0.1
		1 10.0.0.1 2 #2 | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1
		2 10.0.0.1 1 #1 |
		3 10.0.0.1 2 #2 |
		35 10.0.0.1 1 #1 |
		36 10.0.0.1 2 #2 |
		68 10.0.0.1 1 #1 |
		69 10.0.0.1 2 #2 |`,
}, {
	"a repeat is known for 40 seconds after it was last seen",
	[]string{"a: 1,2 timeout 5"}, `
		0 10.0.0.1 1 #1 | STAGE 1 a 10.0.0.1
		39.999999999 10.0.0.1 1 #1 | EXPIRED 1 a 10.0.0.1
		79.9 10.0.0.1 1 #1 |
		119.9 10.0.0.1 1 #1 | STAGE 1 a 10.0.0.1`,
}, {
	"a repeat begins nothing after the attempt has failed",
	[]string{"a: 1,2,3"}, `
		0 10.0.0.1 1 #1 | STAGE 1 a 10.0.0.1
		1 10.0.0.1 3 #3 |
		2 10.0.0.1 1 #1 |
		3 10.0.0.1 2 #2 |
		4 10.0.0.1 1 #4 | STAGE 1 a 10.0.0.1`,
}, {
	"a hit that took no step is not remembered",
	[]string{"a: 1,2", "b: 5,6"}, `
		0 10.0.0.1 2 #2 |
		1 10.0.0.1 1 #1 | STAGE 1 a 10.0.0.1
		2 10.0.0.1 2 #2 | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1
		3 10.0.0.1 1 #3 | STAGE 1 a 10.0.0.1
		4 10.0.0.1 6 #6 |
		5 10.0.0.1 1 #4 | STAGE 1 a 10.0.0.1
		6 10.0.0.1 6 #6 |`,
}, {
	"another segment is another knock",
	[]string{"a: 1,1,1,2"}, `
		0 10.0.0.1 1 #1 | STAGE 1 a 10.0.0.1
		0 10.0.0.1 1 #2 | STAGE 2 a 10.0.0.1
		0 10.0.0.1 1 #2 |
		0 10.0.0.1 1 #3 | STAGE 3 a 10.0.0.1
		0 10.0.0.1 2 #1 | STAGE 4 a 10.0.0.1, OPEN a 10.0.0.1
		0 10.0.0.2 1 #1 | STAGE 1 a 10.0.0.2
		0 ::ffff:10.0.0.1 1 #1 | STAGE 1 a ::ffff:10.0.0.1`,
}, {
	"datagrams have no number and never repeat",
	[]string{"a: 1:udp,1:udp"}, `
		0 10.0.0.1 1:udp | STAGE 1 a 10.0.0.1
		0 10.0.0.1 1:udp | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"a repeat to a door of one step opens it no second time",
	[]string{"a: 1"}, `
		0 10.0.0.1 1 #1 | STAGE 1 a 10.0.0.1, OPEN a 10.0.0.1
		1 10.0.0.1 1 #1 |
		3 10.0.0.1 1 #1 |`,
}, {
	"a repeat harms no other attempt",
	[]string{"a: 1,2", "b: 1,3,2"}, `
		0 10.0.0.1 1 #1 | STAGE 1 a 10.0.0.1, STAGE 1 b 10.0.0.1
		1 10.0.0.1 3 #3 | STAGE 2 b 10.0.0.1
		2 10.0.0.1 1 #1 |
		3 10.0.0.1 3 #3 |
		4 10.0.0.1 2 #2 | STAGE 3 b 10.0.0.1, OPEN b 10.0.0.1`,
}}

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
