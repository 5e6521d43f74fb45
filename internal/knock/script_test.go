package knock_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"knockd/internal/conformance"
	"knockd/internal/knock"
)

// start is when every test's clock begins.
var start = time.Unix(1_700_000_000, 0)

// script plays hits to a tracker and returns what it decides. A line is
//
//	SECONDS SOURCE [> DESTINATION] PORT[:udp] [FLAGS] [#SEQUENCE] | decisions
//
// What stands behind the bar is replaced by the tracker's decisions, with
// "STAGE", "OPEN" and "EXPIRED" before door and source; so that a script
// whose expectations hold comes back as it was. Without a number each hit is
// a segment of its own. A line "SECONDS expire" calls Expire.
func script(t *testing.T, tracker *knock.Tracker, text string) string {
	t.Helper()
	var out strings.Builder
	for n, line := range strings.Split(strings.TrimSpace(text), "\n") {
		said, _, _ := strings.Cut(strings.TrimSpace(line), "|")
		words := strings.Fields(said)
		at := start.Add(seconds(t, words[0]))
		var events []knock.Event
		if words[1] == "expire" {
			events = tracker.Expire(at)
		} else {
			events = tracker.Observe(parseHit(t, uint32(n), words[1:]), at)
		}
		fmt.Fprintf(&out, "%s|%s\n", said, render(events))
		if err := tracker.Check(); err != nil {
			t.Errorf("after %q: %v", said, err)
		}
	}
	return out.String()
}

func seconds(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s + "s")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func render(events []knock.Event) string {
	var parts []string
	for _, e := range events {
		switch e.Kind {
		case knock.Stage:
			parts = append(parts, fmt.Sprintf(" STAGE %d %s %s", e.Stage, e.Door.Name, e.Src))
		case knock.Opened:
			parts = append(parts, fmt.Sprintf(" OPEN %s %s", e.Door.Name, e.Src))
		case knock.Expired:
			parts = append(parts, fmt.Sprintf(" EXPIRED %d %s %s", e.Stage, e.Door.Name, e.Src))
		default:
			parts = append(parts, fmt.Sprintf(" %+v", e))
		}
	}
	return strings.Join(parts, ",")
}

func parseHit(t *testing.T, n uint32, words []string) knock.Hit {
	t.Helper()
	h := knock.Hit{Src: netip.MustParseAddr(words[0]), SrcPort: 40000, Proto: knock.TCP, Flags: knock.SYN, Seq: 1 << 31}
	h.Seq += n
	h.Dst = conformance.Local[0]
	if h.Src.Is6() {
		h.Dst = conformance.Local[1]
	}
	words = words[1:]
	if words[0] == ">" {
		h.Dst = netip.MustParseAddr(words[1])
		words = words[2:]
	}
	port, proto, _ := strings.Cut(words[0], ":")
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	h.DstPort = uint16(p)
	if proto == "udp" {
		h.Proto, h.Flags, h.Seq = knock.UDP, 0, 0
	}
	for _, w := range words[1:] {
		if seq, ok := strings.CutPrefix(w, "#"); ok {
			s, _ := strconv.Atoi(seq)
			h.Seq = uint32(s)
			continue
		}
		h.Flags = 0
		for name := range strings.SplitSeq(w, ",") {
			f, _ := knock.ParseFlag(name)
			h.Flags |= f
		}
	}
	return h
}

// door reads "name: 1,2:udp,3 [timeout 5] [flags syn,!ack] [target ADDR]".
func door(t *testing.T, text string) *knock.Door {
	t.Helper()
	name, rest, _ := strings.Cut(text, ": ")
	words := strings.Fields(rest)
	d := &knock.Door{Name: name, Timeout: 10 * time.Second}
	for s := range strings.SplitSeq(words[0], ",") {
		h := parseHit(t, 0, []string{"10.0.0.1", s})
		d.Sequence = append(d.Sequence, knock.Step{Proto: h.Proto, Port: h.DstPort})
	}
	for i := 1; i+1 < len(words); i += 2 {
		switch words[i] {
		case "timeout":
			d.Timeout = seconds(t, words[i+1])
		case "target":
			d.Target = netip.MustParseAddr(words[i+1])
		case "flags":
			for name := range strings.SplitSeq(words[i+1], ",") {
				f, _ := knock.ParseFlag(strings.TrimPrefix(name, "!"))
				d.Flags = d.Flags.Add(f, name[0] != '!')
			}
		}
	}
	return d
}

func newTracker(t *testing.T, limit int, doors ...string) *knock.Tracker {
	t.Helper()
	tracker := knock.NewTracker(limit)
	tracker.SetLocal(conformance.Local)
	var list []*knock.Door
	for _, d := range doors {
		list = append(list, door(t, d))
	}
	tracker.SetDoors(list)
	return tracker
}
