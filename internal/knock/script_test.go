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
//	SECONDS SOURCE [> DESTINATION] PORT[:udp] [FLAGS] [#SEQUENCE] [+PAYLOAD] | decisions
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
		var events []knock.Decision
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

func render(events []knock.Decision) string {
	var parts []string
	for _, e := range events {
		switch e.Kind {
		case knock.Stage:
			parts = append(parts, fmt.Sprintf(" STAGE %d %s %s", e.Stage, e.Door.Name, e.Src))
		case knock.Opened:
			port := ""
			if e.Port != 0 {
				port = fmt.Sprint(" port ", e.Port)
			}
			parts = append(parts, fmt.Sprintf(" OPEN %s %s%s", e.Door.Name, e.Src, port))
		case knock.Ignored:
			parts = append(parts, fmt.Sprintf(" IGNORED %s %s", e.Door.Name, e.Src))
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
	p, err := strconv.ParseUint(strings.Replace(port, "*", "0", 1), 10, 16)
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
		if n, ok := strings.CutPrefix(w, "+"); ok {
			h.PayloadLen, _ = strconv.Atoi(n)
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

// door reads "name: 1,2:udp,* KEY VALUE ..." with values much as in the
// configuration, but without blanks.
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
		setKey(t, d, words[i], words[i+1])
	}
	return d
}

func setKey(t *testing.T, d *knock.Door, key, value string) {
	t.Helper()
	var networks []netip.Prefix
	if key == "allow" || key == "deny" {
		for p := range strings.SplitSeq(value, ",") {
			networks = append(networks, netip.MustParsePrefix(p))
		}
	}
	first, last, _ := strings.Cut(value, "-")
	low, _ := strconv.Atoi(first)
	high, _ := strconv.Atoi(last)
	switch key {
	case "timeout":
		d.Timeout = seconds(t, value)
	case "target":
		d.Target = netip.MustParseAddr(value)
	case "flags":
		for name := range strings.SplitSeq(value, ",") {
			f, _ := knock.ParseFlag(strings.TrimPrefix(name, "!"))
			d.Flags = d.Flags.Add(f, name[0] != '!')
		}
	case "strict":
		d.Strict = true
	case "ignore":
		h := parseHit(t, 0, []string{"10.0.0.1", value})
		d.StrictIgnore = append(d.StrictIgnore, knock.PortRange{Proto: h.Proto, First: h.DstPort, Last: h.DstPort})
	case "repeats":
		d.ForgiveRepeats = true
	case "allow":
		d.Allow = networks
	case "deny":
		d.Deny = networks
	case "cooldown":
		d.Cooldown = seconds(t, value)
	case "scope":
		d.CooldownForAll = true
	case "length":
		d.PacketLength = knock.Lengths{Min: low, Max: high}
	case "ports":
		d.OpenPorts = append(d.OpenPorts, knock.PortRange{First: uint16(low), Last: uint16(high)})
	default:
		t.Fatal("no such key: ", key)
	}
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
