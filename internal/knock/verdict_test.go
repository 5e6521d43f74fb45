package knock_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/knock"
)

// TestFailed: who asks for them is told of attempts that fail, how far they
// were and whose port it was that ended them; who does not is not.
func TestFailed(t *testing.T) {
	ssh := &knock.Door{Name: "ssh", N: 1, Timeout: time.Minute, Sequence: []knock.Step{{Proto: knock.TCP, Port: 1}, {Proto: knock.TCP, Port: 5}, {Proto: knock.TCP, Port: 9}}}
	strict := &knock.Door{Name: "strict", N: 1, Timeout: time.Minute, Strict: true, Sequence: []knock.Step{{Proto: knock.UDP, Port: 11}, {Proto: knock.UDP, Port: 15}}}
	local := netip.MustParseAddr("10.0.0.1")
	for _, tt := range []struct {
		name  string
		hits  []knock.Step
		door  string
		stage int
		of    string
	}{
		{"out of order", []knock.Step{{Proto: knock.TCP, Port: 1}, {Proto: knock.TCP, Port: 9}}, "ssh", 1, "ssh"},
		{"later", []knock.Step{{Proto: knock.TCP, Port: 1}, {Proto: knock.TCP, Port: 5}, {Proto: knock.UDP, Port: 11}}, "ssh", 2, "strict"},
		{"stray", []knock.Step{{Proto: knock.UDP, Port: 11}, {Proto: knock.UDP, Port: 12}}, "strict", 1, ""},
	} {
		for _, verbose := range []bool{false, true} {
			tr := knock.NewTracker(10)
			tr.SetLocal([]netip.Addr{local})
			tr.SetDoors([]*knock.Door{ssh, strict})
			tr.SetVerbose(verbose)
			tr.SetExplaining(true)
			var failed []knock.Decision
			for i, s := range tt.hits {
				hit := knock.Hit{Src: netip.MustParseAddr("192.0.2.1"), Dst: local, Proto: s.Proto, DstPort: s.Port, Flags: knock.SYN, Seq: uint32(i)}
				for _, e := range tr.Observe(hit, time.Unix(int64(i), 0)) {
					if e.Kind == knock.Failed {
						failed = append(failed, e)
					}
				}
			}
			if got := knock.Foremost(tr.Verdicts()); got != knock.Ended {
				t.Errorf("%s: %v", tt.name, got)
			}
			if !verbose {
				if len(failed) > 0 {
					t.Errorf("%s: %d events without being asked", tt.name, len(failed))
				}
				continue
			}
			if len(failed) != 1 || failed[0].Door.Name != tt.door || failed[0].Stage != tt.stage {
				t.Fatalf("%s: %+v", tt.name, failed)
			}
			of := ""
			if failed[0].Of != nil {
				of = failed[0].Of.Name
			}
			if of != tt.of {
				t.Errorf("%s: a port of %q, want %q", tt.name, of, tt.of)
			}
		}
	}
}

// verdicts plays a script to a tracker and puts the verdicts behind the bar.
func verdicts(t *testing.T, tracker *knock.Tracker, text string) string {
	t.Helper()
	var out strings.Builder
	for n, line := range strings.Split(strings.TrimSpace(text), "\n") {
		said, _, _ := strings.Cut(line, "|")
		words := strings.Fields(said)
		tracker.Observe(parseHit(t, uint32(n), words[1:]), start.Add(seconds(t, words[0])))
		var parts []string
		for _, v := range tracker.Verdicts() {
			parts = append(parts, " "+renderVerdict(&v))
		}
		fmt.Fprintf(&out, "%s|%s\n", said, strings.Join(parts, ";"))
	}
	return out.String()
}

var outcomes = [...]string{
	"no step", "IPv6", "elsewhere", "wrong flags", "not allowed", "wrong length", "ignored", "repeat", "cooling down",
	"out of turn", "held", "let pass", "ended", "took",
}

func renderVerdict(v *knock.Verdict) string {
	text := outcomes[v.Outcome]
	if v.Door.Name != "" {
		text += fmt.Sprintf(" %v %d/%d at %d of %v", v.Door, v.Step, v.Steps, v.Stage, v.Timeout.Seconds())
	}
	for _, detail := range []struct {
		name  string
		value any
		there bool
	}{
		{"opens", "", v.Opens()}, {"late", "", v.Late()}, {"strict", "", v.Strict}, {"age", v.Age, v.Age > 0}, {"left", v.Left, v.Left > 0},
		{"lapse", v.Lapse, v.Lapse > 0}, {"since", v.Since, v.Since > 0}, {"of", v.Of, v.Of.Name != ""}, {"asks", v.Asks, v.Asks != knock.FlagMatch{}},
		{"length", v.Lengths, v.Lengths != knock.Lengths{}}, {"target", v.Target, v.Target.IsValid()}, {"failures", v.Failures, v.Failures > 0},
	} {
		if detail.there {
			text += strings.TrimRight(fmt.Sprintf(" %s %v", detail.name, detail.value), " ")
		}
	}
	return text
}

// TestVerdicts: each thing that a hit can be to a door is told from the others.
func TestVerdicts(t *testing.T) {
	doors := []string{
		"ssh: 1,5,9 flags syn,!ack deny 192.0.2.9/32 length 0-100",
		"web: 21,5,22:udp timeout 20",
		"out: 21,23 target 198.51.100.1",
		"tight: 31,32 strict yes ignore 80",
		"kind: 41,42,43 repeats yes",
		"slow: 51 cooldown 60",
		"all: 61,62 cooldown 60 scope yes",
		"any: *:udp,7:udp ports 1000-2000",
	}
	for name, script := range map[string]string{
		"a knock": `
0   192.0.2.1 1        | took ssh 1/3 at 1 of 10
1   192.0.2.1 5        | took ssh 2/3 at 2 of 10 age 1s
2.5 192.0.2.1 9        | took ssh 3/3 at 3 of 10 opens age 2.5s
3   192.0.2.1 9        | out of turn ssh 3/3 at 3 of 10 lapse 4 since 500ms
`,
		"none": `
0   192.0.2.1 2                 | no step
0   192.0.2.1 > 192.0.2.2 2     | no step
0   192.0.2.1 > 192.0.2.2 9     | elsewhere ssh 3/3 at 0 of 10
0   192.0.2.1 > 192.0.2.2 21    | elsewhere web 1/3 at 0 of 20; elsewhere out 1/2 at 0 of 10 target 198.51.100.1
0   192.0.2.1 1 ack             | wrong flags ssh 1/3 at 0 of 10 asks syn,!ack
0   192.0.2.9 1                 | not allowed ssh 1/3 at 0 of 10
0   192.0.2.1 1 +101            | wrong length ssh 1/3 at 0 of 10 length 0-100
0   192.0.2.1 9                 | out of turn ssh 3/3 at 0 of 10
0   192.0.2.1 5                 | out of turn ssh 2/3 at 0 of 10; out of turn web 2/3 at 0 of 20
0   192.0.2.1 1500:udp          | took any 1/2 at 1 of 10
`,
		"order": `
0   192.0.2.1 1        | took ssh 1/3 at 1 of 10
1   192.0.2.1 9        | ended ssh 3/3 at 1 of 10 age 1s of ssh
2   192.0.2.1 5        | out of turn ssh 2/3 at 1 of 10 lapse 2 since 1s; out of turn web 2/3 at 0 of 20
3   192.0.2.1 1        | took ssh 1/3 at 1 of 10
4   192.0.2.1 21       | ended ssh 0/3 at 1 of 10 age 1s of web; held web 1/3 at 0 of 20
5   192.0.2.1 1        | took ssh 1/3 at 1 of 10
6   192.0.2.1 1        | ended ssh 1/3 at 1 of 10 age 1s of ssh; held ssh 1/3 at 0 of 10
7   192.0.2.1 1        | took ssh 1/3 at 1 of 10
8   192.0.2.1 2        | no step
8   192.0.2.1 1 ack    | wrong flags ssh 1/3 at 1 of 10 age 1s asks syn,!ack
8   192.0.2.1 5 +101   | wrong length ssh 2/3 at 1 of 10 age 1s length 0-100
8   192.0.2.1 5 #9     | took ssh 2/3 at 2 of 10 age 1s
9   192.0.2.1 5 #9     | repeat ssh 2/3 at 0 of 10; repeat web 2/3 at 0 of 20
`,
		"late": `
0    192.0.2.1 1        | took ssh 1/3 at 1 of 10
1    192.0.2.1 5        | took ssh 2/3 at 2 of 10 age 1s
12.1 192.0.2.1 9        | out of turn ssh 3/3 at 2 of 10 late lapse 1 since 2.1s
13   192.0.2.1 5        | out of turn ssh 2/3 at 2 of 10 lapse 1 since 3s; out of turn web 2/3 at 0 of 20
`,
		"strict": `
0   192.0.2.1 31        | took tight 1/2 at 1 of 10
1   192.0.2.1 80        | let pass tight 0/2 at 1 of 10 age 1s
1   192.0.2.1 443       | ended tight 0/2 at 1 of 10 strict age 1s
1   192.0.2.1 443       | no step
`,
		"repeats": `
0   192.0.2.1 41        | took kind 1/3 at 1 of 10
1   192.0.2.1 42        | took kind 2/3 at 2 of 10 age 1s
2   192.0.2.1 42        | let pass kind 2/3 at 2 of 10 age 2s
3   192.0.2.1 41        | ended kind 1/3 at 2 of 10 age 3s of kind; held kind 1/3 at 0 of 10
`,
		"cooldown": `
0   192.0.2.1 51        | took slow 1/1 at 1 of 10 opens
9   192.0.2.1 51        | cooling down slow 1/1 at 0 of 10 left 51s
9   192.0.2.2 51        | took slow 1/1 at 1 of 10 opens
10  192.0.2.3 61        | took all 1/2 at 1 of 10
10  192.0.2.4 61        | took all 1/2 at 1 of 10
11  192.0.2.4 62        | took all 2/2 at 2 of 10 opens age 1s
12  192.0.2.3 62        | cooling down all 2/2 at 0 of 10 left 59s
13  192.0.2.5 61        | cooling down all 1/2 at 0 of 10 left 58s
`,
		"evicted": `
0   192.0.2.1 1         | took ssh 1/3 at 1 of 10
0   192.0.2.2 1         | took ssh 1/3 at 1 of 10
0   192.0.2.3 1         | took ssh 1/3 at 1 of 10
0   192.0.2.4 1         | took ssh 1/3 at 1 of 10
0   192.0.2.5 1         | took ssh 1/3 at 1 of 10
2   192.0.2.1 5         | out of turn ssh 2/3 at 1 of 10 lapse 3 since 2s; out of turn web 2/3 at 0 of 20
`,
		"ignored": `
0   192.0.2.1 1         | took ssh 1/3 at 1 of 10
0   192.0.2.1 9         | ended ssh 3/3 at 1 of 10 of ssh
1   192.0.2.1 1         | took ssh 1/3 at 1 of 10
1   192.0.2.1 9         | ended ssh 3/3 at 1 of 10 of ssh; ignored left 1m0s failures 2
8   192.0.2.1 1         | ignored left 53s failures 2
8   192.0.2.1 2         | ignored left 53s failures 2
`,
	} {
		tr := newTracker(t, 4, doors...)
		if name == "ignored" {
			tr.SetFailureLimit(knock.FailureLimit{Count: 2, Within: time.Minute, For: time.Minute}, nil, nil)
		}
		tr.SetExplaining(true)
		if diff := cmp.Diff(strings.TrimLeft(script, "\n"), verdicts(t, tr, script)); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", name, diff)
		}
	}
}
