package knock_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/knock"
)

type ruleTest struct {
	name   string
	doors  []string
	script string
}

func (test ruleTest) run(t *testing.T) {
	tracker := newTracker(t, knock.DefaultMaxAttempts, test.doors...)
	var want strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(test.script), "\n") {
		want.WriteString(strings.TrimSpace(line) + "\n")
	}
	got := script(t, tracker, test.script)
	// Trailing blanks mean nothing.
	got = strings.ReplaceAll(got, " |\n", " |\n")
	if diff := cmp.Diff(want.String(), got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

func TestRules(t *testing.T) {
	for _, test := range ruleTests {
		t.Run(test.name, test.run)
	}
}

var ruleTests = []ruleTest{{
	"the sequence opens the door",
	[]string{"a: 1,2,3"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		1 10.0.0.1 2 | STAGE 2 a 10.0.0.1
		2 10.0.0.1 3 | STAGE 3 a 10.0.0.1, OPEN a 10.0.0.1
		3 10.0.0.1 3 |
		3 10.0.0.1 1 | STAGE 1 a 10.0.0.1`,
}, {
	"one step is enough for a door of one step, each time",
	[]string{"a: 1"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1, OPEN a 10.0.0.1
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1, OPEN a 10.0.0.1
		0 fd00::1 1 | STAGE 1 a fd00::1, OPEN a fd00::1`,
}, {
	"protocols are told apart",
	[]string{"a: 1:udp,1,2:udp"}, `
		0 10.0.0.1 1 |
		0 10.0.0.1 1:udp | STAGE 1 a 10.0.0.1
		0 10.0.0.1 1:udp |
		0 10.0.0.1 1 |
		1 10.0.0.1 1:udp | STAGE 1 a 10.0.0.1
		1 10.0.0.1 1 | STAGE 2 a 10.0.0.1
		1 10.0.0.1 2 |
		1 10.0.0.1 2:udp | STAGE 3 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"a port that occurs in no sequence does not exist",
	[]string{"a: 1,2"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		1 10.0.0.1 7 |
		1 10.0.0.1 2:udp |
		2 10.0.0.1 2 | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"a port of another door is a wrong one",
	[]string{"a: 1,2", "b: 8,9"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		1 10.0.0.1 9 |
		2 10.0.0.1 2 |
		3 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		4 10.0.0.1 2 | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"a wrong step begins nothing, not even if it is a first one",
	[]string{"a: 1,2,3", "b: 3,1"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		1 10.0.0.1 1 |
		2 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		3 10.0.0.1 3 |
		4 10.0.0.1 3 | STAGE 1 b 10.0.0.1
		5 10.0.0.1 1 | STAGE 2 b 10.0.0.1, OPEN b 10.0.0.1`,
}, {
	"a step that is right for one attempt is wrong for another",
	[]string{"a: 1,2,3", "b: 1,2,2", "c: 1,3"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1, STAGE 1 b 10.0.0.1, STAGE 1 c 10.0.0.1
		1 10.0.0.1 2 | STAGE 2 a 10.0.0.1, STAGE 2 b 10.0.0.1
		2 10.0.0.1 3 | STAGE 3 a 10.0.0.1, OPEN a 10.0.0.1
		3 10.0.0.1 1 | STAGE 1 a 10.0.0.1, STAGE 1 b 10.0.0.1, STAGE 1 c 10.0.0.1`,
}, {
	"doors begin in file order and go on oldest first",
	[]string{"b: 1,2 target 10.9.9.9", "a: 1,2", "c: 1,2"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1, STAGE 1 c 10.0.0.1
		0 10.0.0.1 > 10.9.9.9 1 | STAGE 1 b 10.0.0.1
		1 10.0.0.1 2 | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1, STAGE 2 c 10.0.0.1, OPEN c 10.0.0.1
		1 10.0.0.1 > 10.9.9.9 2 | STAGE 2 b 10.0.0.1, OPEN b 10.0.0.1`,
}, {
	"sources do not meddle with each other",
	[]string{"a: 1,2"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		0 10.0.0.2 1 | STAGE 1 a 10.0.0.2
		1 10.0.0.2 1 |
		1 10.0.0.3 2 |
		2 10.0.0.1 2 | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"an IPv4 address is not its IPv6 twin",
	[]string{"a: 1,2"}, `
		0 ::ffff:10.0.0.1 1 | STAGE 1 a ::ffff:10.0.0.1
		0 10.0.0.1 2 |
		0 ::ffff:10.0.0.1 2 | STAGE 2 a ::ffff:10.0.0.1, OPEN a ::ffff:10.0.0.1`,
}, {
	"the destination has to be the target or local",
	[]string{"a: 1,2", "b: 1,2 target 192.0.2.7", "c: 1,2 target 2001:db8::7"}, `
		0 10.0.0.1 > 192.0.2.8 1 |
		0 10.0.0.1 > 192.0.2.7 1 | STAGE 1 b 10.0.0.1
		0 10.0.0.1 > 127.0.0.1 1 | STAGE 1 a 10.0.0.1
		1 10.0.0.1 > 192.0.2.8 1 |
		1 10.0.0.1 > 127.0.0.1 2 | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1
		1 10.0.0.1 > 192.0.2.7 2 | STAGE 2 b 10.0.0.1, OPEN b 10.0.0.1
		1 fd00::1 > 2001:db8::7 1 | STAGE 1 c fd00::1
		1 fd00::1 > ::1 1 | STAGE 1 a fd00::1`,
}, {
	"steps of one attempt may go to several local addresses",
	[]string{"a: 1,2"}, `
		0 10.0.0.1 > 127.0.0.1 1 | STAGE 1 a 10.0.0.1
		0 10.0.0.1 > ::1 2 | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"flags have to fit, set and clear",
	[]string{"a: 1,2 flags syn,!ack"}, `
		0 10.0.0.1 1 syn,ack |
		0 10.0.0.1 1 fin |
		0 10.0.0.1 1 syn,psh | STAGE 1 a 10.0.0.1
		1 10.0.0.1 1 syn,ack |
		1 10.0.0.1 2 ack |
		1 10.0.0.1 2 syn | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"the last mention of a flag counts",
	[]string{"a: 1 flags syn,!syn", "b: 1 flags !syn,syn"}, `
		0 10.0.0.1 1 syn | STAGE 1 b 10.0.0.1, OPEN b 10.0.0.1
		0 10.0.0.1 1 fin | STAGE 1 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"without tcpflags any segment counts",
	[]string{"a: 1,2"}, `
		0 10.0.0.1 1 rst | STAGE 1 a 10.0.0.1
		0 10.0.0.1 2 fin,psh,urg | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"a datagram has no flags to check",
	[]string{"a: 1:udp,2 flags syn"}, `
		0 10.0.0.1 1:udp | STAGE 1 a 10.0.0.1
		0 10.0.0.1 1:udp |
		0 10.0.0.1 1:udp | STAGE 1 a 10.0.0.1
		0 10.0.0.1 2 ack |
		0 10.0.0.1 2 syn | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"flags wrong for an attempt leave it alone, though another door sees the packet",
	[]string{"a: 1,2 flags syn", "b: 2,3 flags fin"}, `
		0 10.0.0.1 1 syn | STAGE 1 a 10.0.0.1
		1 10.0.0.1 2 fin |
		2 10.0.0.1 2 syn | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"an attempt whose flags do not fit still keeps others from beginning",
	[]string{"a: 1,2 flags syn", "b: 2,3 flags fin"}, `
		0 10.0.0.1 1 syn | STAGE 1 a 10.0.0.1
		1 10.0.0.1 2 fin |
		1 10.0.0.1 3 fin |
		10 10.0.0.1 2 fin | EXPIRED 1 a 10.0.0.1, STAGE 1 b 10.0.0.1`,
}, {
	"an attempt at another destination does not keep others from beginning",
	[]string{"a: 1,2 target 192.0.2.7", "b: 2,1"}, `
		0 10.0.0.1 > 192.0.2.7 1 | STAGE 1 a 10.0.0.1
		1 10.0.0.1 2 | STAGE 1 b 10.0.0.1
		1 10.0.0.1 1 | STAGE 2 b 10.0.0.1, OPEN b 10.0.0.1
		2 10.0.0.1 > 192.0.2.7 2 | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"just in time",
	[]string{"a: 1,2,3 timeout 5"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		3 10.0.0.1 2 | STAGE 2 a 10.0.0.1
		4.999999999 10.0.0.1 3 | STAGE 3 a 10.0.0.1, OPEN a 10.0.0.1`,
}, {
	"too late, counted from the first hit; the late hit may begin anew",
	[]string{"a: 1,2,1 timeout 5"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		3 10.0.0.1 2 | STAGE 2 a 10.0.0.1
		5 10.0.0.1 1 | EXPIRED 2 a 10.0.0.1, STAGE 1 a 10.0.0.1
		10 10.0.0.1 2 | EXPIRED 1 a 10.0.0.1`,
}, {
	"expiry needs no packet",
	[]string{"a: 1,2 timeout 5", "b: 3,4 timeout 2"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		1 10.0.0.2 3 | STAGE 1 b 10.0.0.2
		2 10.0.0.3 3 | STAGE 1 b 10.0.0.3
		2.999 expire |
		3 expire | EXPIRED 1 b 10.0.0.2
		9 expire | EXPIRED 1 b 10.0.0.3, EXPIRED 1 a 10.0.0.1
		9 expire |`,
}, {
	"nobody's packet lets attempts expire too",
	[]string{"a: 1,2 timeout 5"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		5 10.0.0.9 777 | EXPIRED 1 a 10.0.0.1`,
}, {
	"failed and finished attempts go silently",
	[]string{"a: 1,2 timeout 5", "b: 3,4 timeout 5"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		0 10.0.0.1 4 |
		0 10.0.0.2 1 | STAGE 1 a 10.0.0.2
		0 10.0.0.2 2 | STAGE 2 a 10.0.0.2, OPEN a 10.0.0.2
		9 expire |`,
}, {
	"the longest sequence",
	[]string{"a: 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2"},
	strings.Join(longest(), "\n"),
}, {
	"a door without a timeout worth the name",
	[]string{"a: 1,2 timeout 0"}, `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		0 10.0.0.1 2 | EXPIRED 1 a 10.0.0.1`,
}, {
	"a timeout longer than time",
	[]string{"a: 1,2 timeout 9223372036"}, `
		0 10.0.0.9 777 |
		1 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		9 10.0.0.1 2 | STAGE 2 a 10.0.0.1, OPEN a 10.0.0.1`,
}}

func longest() (lines []string) {
	for n := 1; n < knock.MaxSteps; n++ {
		lines = append(lines, fmt.Sprintf("0 10.0.0.1 1 | STAGE %d a 10.0.0.1", n))
	}
	return append(lines, "0 10.0.0.1 2 | STAGE 32 a 10.0.0.1, OPEN a 10.0.0.1")
}

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
