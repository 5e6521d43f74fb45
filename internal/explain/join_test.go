package explain_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"knockd/internal/explain"
	"knockd/internal/knock"
)

// joined plays packets to a Join: "d" that knockd has decided on, "s" that somebody
// saw, each with its number and its time in milliseconds.
func joined(t *testing.T, packets ...string) (out []string) {
	t.Helper()
	j := &explain.Join{}
	last := time.Time{}
	j.Emit = func(p *explain.Packet) {
		if p.At.Before(last) {
			t.Errorf("%v after %v", p.At, last)
		}
		last = p.At
		who := "s"
		if knock.Foremost(p.Verdicts) == knock.Took {
			who = "d"
		}
		out = append(out, fmt.Sprintf("%s%d:%d", who, p.Hit.Seq, p.Hit.DstPort))
	}
	j.Unseen = func(p *explain.Packet) bool { return p.Hit.Seq < 100 }
	for _, text := range packets {
		var kind string
		var n, at int
		if _, err := fmt.Sscanf(text, "%1s%d@%d", &kind, &n, &at); err != nil {
			t.Fatal(text, err)
		}
		p := explain.Packet{At: begin.Add(time.Duration(at) * time.Millisecond), Hit: knock.Hit{Dst: host, Proto: knock.TCP, Seq: uint32(n), DstPort: 7000}}
		j.Pass(p.At)
		if kind == "d" {
			p.Hit.DstPort = 0
			p.Verdicts = []knock.Verdict{{Outcome: knock.Took, Step: 1, Stage: 1, Steps: 3}}
			j.Decided(p)
		} else {
			j.Seen(p)
		}
	}
	j.Close()
	return out
}

func TestJoin(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{[]string{"s1@0", "d1@1", "s2@2", "d3@3", "s3@4"}, []string{"d1:7000", "s2:7000", "d3:7000"}},
		{[]string{"d1@0", "s1@1", "s1@2"}, []string{"d1:7000", "s1:7000"}},            // the second is one more
		{[]string{"s1@0", "s1@0", "d1@5", "d1@6"}, []string{"d1:7000", "d1:7000"}},    // both are known
		{[]string{"d1@0", "s2@1800", "s1@1900"}, []string{"d1:0", "s2:7000"}},         // the other side is slow
		{[]string{"s1@0", "d2@1500", "d1@1600"}, []string{"s1:7000", "d2:0", "d1:0"}}, // knockd is too slow
		{[]string{"s200@0", "d1@1"}, []string{"d1:0"}},                                // of no interest
		{[]string{"d2@50", "s1@40", "s3@30"}, []string{"s3:7000", "s1:7000", "d2:0"}},
	} {
		if got := joined(t, c.in...); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

// TestJoinBounds: what waits, and what is remembered, is bounded.
func TestJoinBounds(t *testing.T) {
	emitted := 0
	j := &explain.Join{Emit: func(*explain.Packet) { emitted++ }, Unseen: func(*explain.Packet) bool { return true }}
	for i := range uint32(20_000) {
		p := explain.Packet{At: begin, Hit: knock.Hit{Seq: i}}
		if i%2 == 0 {
			j.Seen(p)
		} else {
			p.Verdicts = []knock.Verdict{{}}
			j.Decided(p)
		}
	}
	j.Close()
	if emitted != 4096 || j.Missed != 20_000-4096 {
		t.Errorf("%d packets, and %d missed", emitted, j.Missed)
	}
	j.Pass(begin.Add(time.Hour))
	if n := j.Remembered(); n != 0 {
		t.Errorf("%d are remembered", n)
	}
}
