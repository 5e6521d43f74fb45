package explain_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/control"
	"knockd/internal/event"
	"knockd/internal/explain"
	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/spa"
)

var (
	begin = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	host  = netip.MustParseAddr("192.0.2.1")
)

func steps(ports ...uint16) (list []knock.Step) {
	for _, p := range ports {
		list = append(list, knock.Step{Proto: knock.TCP, Port: p})
	}
	return list
}

// doors are those of all tests.
func doors() []*knock.Door {
	syn := knock.FlagMatch{Set: knock.SYN}
	return []*knock.Door{
		{Name: "ssh", N: 1, Sequence: steps(7000, 8000, 9000), Timeout: 5 * time.Second, Flags: syn},
		{Name: "web", N: 1, Sequence: steps(7100, 7200), Timeout: 5 * time.Second, Flags: syn},
		{Name: "one", N: 1, Sequence: steps(5000), Timeout: 5 * time.Second, Flags: syn, Deny: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
	}
}

// player decides on a script's packets and has them explained. A line of it is
// "SECONDS SOURCE PORT [FLAGS] [#SEQUENCE NUMBER]", or "SECONDS refused DOOR" before
// a packet that would open a door.
type player struct {
	t       *testing.T
	tracker *knock.Tracker
	teller  *explain.Teller
	explain func(time.Time, *knock.Hit, []knock.Verdict)
	packets uint32
}

func play(t *testing.T, teller *explain.Teller, wired bool, script string) {
	t.Helper()
	p := &player{t: t, tracker: knock.NewTracker(100), teller: teller, explain: teller.Explain}
	if wired {
		p.explain = p.byWire
	}
	p.tracker.SetLocal([]netip.Addr{host})
	p.tracker.SetDoors(doors())
	p.tracker.SetFailureLimit(knock.FailureLimit{Count: 3, Within: time.Minute, For: time.Minute}, nil, nil)
	p.tracker.SetExplaining(true)
	for line := range strings.Lines(script) {
		if words := strings.Fields(line); len(words) > 0 {
			p.line(words)
		}
	}
}

// byWire hands a packet over as the control socket does.
func (p *player) byWire(at time.Time, hit *knock.Hit, verdicts []knock.Verdict) {
	p.t.Helper()
	packet := explain.Packet{At: at, Hit: *hit, Verdicts: verdicts}
	text, err := json.Marshal(packet.Wire(explain.NewPorts(doors(), nil), false))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, d := range doors() {
		for _, s := range d.Sequence {
			if strings.Contains(string(text), fmt.Sprintf(`"port":%d,`, s.Port)) {
				p.t.Errorf("a port of a sequence: %s", text)
			}
		}
	}
	var wire control.Packet
	if err := json.Unmarshal(text, &wire); err != nil {
		p.t.Fatal(err)
	}
	packet = explain.FromWire(&wire)
	p.teller.Packet(&packet)
}

func (p *player) line(words []string) {
	p.t.Helper()
	seconds, err := strconv.ParseFloat(words[0], 64)
	if err != nil {
		p.t.Fatal(err)
	}
	at := begin.Add(time.Duration(seconds * float64(time.Second)))
	if words[1] == "refused" {
		p.teller.Event(at, event.Refused{Opening: event.Opening{Door: knock.DoorID{Name: words[2], N: 1}}, Held: 20000, OfDoor: 10000})
		return
	}
	port, _ := strconv.Atoi(words[2])
	p.packets++
	h := knock.Hit{Src: netip.MustParseAddr(words[1]), Dst: host, SrcPort: 4000, DstPort: uint16(port), Proto: knock.TCP, Flags: knock.SYN, Seq: p.packets}
	for _, w := range words[3:] {
		if seq, ok := strings.CutPrefix(w, "#"); ok {
			n, _ := strconv.Atoi(seq)
			h.Seq = uint32(n)
			continue
		}
		h.Flags = 0
		for name := range strings.SplitSeq(w, ",") {
			f, _ := knock.ParseFlag(name)
			h.Flags |= f
		}
	}
	p.tracker.Observe(h, at)
	p.explain(at, &h, p.tracker.Verdicts())
}

// told returns what is told of a script.
func told(t *testing.T, o explain.Options, wired bool, script string) string {
	t.Helper()
	var b strings.Builder
	o.Ports = explain.NewPorts(doors(), nil)
	o.Ports.Use(explain.Line{Door: knock.DoorID{Name: "once", N: 1}, Steps: steps(1100, 1200, 1300), File: "FILE", Number: 3})
	o.Local = func(a netip.Addr) bool { return a == host }
	o.Opens = func(d knock.DoorID) explain.Opening {
		if d.Name == "ssh" {
			return explain.Opening{Ports: []knock.PortRange{{Proto: knock.TCP, First: 22, Last: 22}}, For: time.Minute}
		}
		return explain.Opening{For: 10 * time.Second}
	}
	w := &explain.Writer{W: &b, Ports: o.Ports, Door: o.Door, Zone: time.UTC}
	o.Tell = func(s *explain.Story) {
		if err := w.Story(s); err != nil {
			t.Error(err)
		}
	}
	teller := explain.NewTeller(o)
	play(t, teller, wired, script)
	teller.Close(time.Time{})
	if err := w.Totals(teller, "is in FILE"); err != nil {
		t.Error(err)
	}
	return b.String()
}

// scripts are what the golden file has the stories of.
var scripts = []struct {
	name   string
	o      explain.Options
	script string
}{
	{name: "told as they end, each source's packets together", script: `
		0    198.51.100.7  7000
		0.1  198.51.100.8  7100
		0.2  198.51.100.9  7000
		0.5  198.51.100.7  8000
		0.6  198.51.100.8  7200
		0.7  198.51.100.7  9000
		1    198.51.100.7  22
		1.1  203.0.113.9   443
		9    203.0.113.9   443
		20   203.0.113.9   443`},
	{name: "wrong ports before and after a first step", script: `
		0  198.51.100.7  7001
		1  198.51.100.7  7000
		2  198.51.100.7  8001
		3  198.51.100.7  9000`},
	{name: "the first step is missing", script: `
		0  198.51.100.7  7001
		1  198.51.100.7  8000
		2  198.51.100.7  9000`},
	{name: "too late, long after the story was told", script: `
		0   198.51.100.7  7000
		1   198.51.100.7  8000
		15  198.51.100.7  9000`},
	{name: "the address has changed", script: `
		0  198.51.100.7  7000
		1  198.51.100.7  8000
		2  198.51.100.7  9000
		3  203.0.113.9   80
		4  198.51.100.8  22`},
	{name: "the address has changed, asked for by the first", o: explain.Options{Source: netip.MustParseAddr("198.51.100.7")}, script: `
		0  198.51.100.7  7000
		1  198.51.100.7  8000
		2  198.51.100.7  9000
		4  198.51.100.8  22`},
	{name: "nobody else matters once the knocker has come", script: `
		0  198.51.100.7  7000
		1  198.51.100.7  8000
		2  198.51.100.7  9000
		3  198.51.100.7  22
		4  198.51.100.8  22`},
	{name: "repeats", script: `
		0  198.51.100.7  7000 #1
		1  198.51.100.7  7000 #1
		3  198.51.100.7  7000 #1
		4  198.51.100.7  8000`},
	{name: "ignored", script: `
		0   198.51.100.7  7100
		1   198.51.100.7  7000
		2   198.51.100.7  7100
		3   198.51.100.7  7000
		4   198.51.100.7  7100
		5   198.51.100.7  7000
		15  198.51.100.7  7100
		16  198.51.100.7  7200`},
	{name: "not allowed at a door of one step", script: `
		0  10.0.0.1  5000`},
	{name: "refused", script: `
		0  198.51.100.7  7100
		1  refused       web
		1  198.51.100.7  7200`},
	{name: "a scan", script: scan("198.51.100.7", 6990, 7250)},
	{name: "a connection at a first step is no knock", script: `
		0  198.51.100.7  7000
		0  198.51.100.7  7000 ack
		0  198.51.100.7  7000 psh,ack
		1  198.51.100.7  7000 fin,ack`},
	{name: "a used line", script: `
		0  198.51.100.7  1100
		1  198.51.100.7  1200
		2  198.51.100.7  1300`},
	{name: "one door alone", o: explain.Options{Door: "web"}, script: `
		0  198.51.100.7  7000
		1  198.51.100.7  7100
		2  198.51.100.8  7100
		3  198.51.100.8  7000
		4  198.51.100.8  7100
		5  198.51.100.8  7200`},
	{name: "one source alone, which sent nothing", o: explain.Options{Source: netip.MustParseAddr("198.51.100.7")}, script: `
		0  198.51.100.8  7000
		1  198.51.100.8  8000`},
	{name: "one source alone, which knocked elsewhere", o: explain.Options{Source: netip.MustParseAddr("198.51.100.7")}, script: `
		0  198.51.100.7  70
		1  198.51.100.7  80`},
	{name: "one source alone, and a first step", o: explain.Options{Source: netip.MustParseAddr("198.51.100.7")}, script: `
		0   198.51.100.7  7000
		20  198.51.100.8  70`},
	{name: "nothing", script: ""},
}

// scan is a source that tries ports one after the other.
func scan(src string, first, last int) string {
	var b strings.Builder
	for port := first; port <= last; port++ {
		fmt.Fprintf(&b, "%.3f %s %d\n", float64(port-first)/1000, src, port)
	}
	return b.String()
}

func TestStories(t *testing.T) {
	var b strings.Builder
	for _, s := range scripts {
		text := told(t, s.o, false, s.script)
		fmt.Fprintf(&b, "== %s\n%s\n", s.name, text)
		// Used lines are not known to who gets packets through the socket.
		if diff := cmp.Diff(text, told(t, s.o, true, s.script)); diff != "" && !strings.Contains(text, "used") {
			t.Errorf("%s: by the socket +:\n%s", s.name, diff)
		}
	}
	nettest.Golden(t, "testdata/stories.txt", b.String())
}

// TestMessages: each thing that a message can be is said, with what to do.
func TestMessages(t *testing.T) {
	var b strings.Builder
	door := knock.DoorID{Name: "vpn", N: 1}
	for _, v := range []spa.Verdict{
		{Outcome: spa.Opened, Door: door, Client: "alice", Grant: spa.Grant{Addr: netip.MustParseAddr("203.0.113.5"), Ports: steps(22)}},
		{Outcome: spa.Untimely, Door: door, Client: "alice", Late: 97 * time.Second, Reason: "97 s too old (limit 60 s), check the clocks"},
		{Outcome: spa.Untimely, Door: door, Late: -3 * time.Hour},
		{Outcome: spa.Replay, Door: door, Client: "alice", Reason: "used before"},
		{Outcome: spa.Unknown, Reason: "made with no key of this host"},
		{Outcome: spa.Faulty, Door: door, Client: "alice", Reason: "no port"},
		{Outcome: spa.Denied, Door: door, Client: "alice", Reason: "tcp/23 is not allowed"},
		{Outcome: spa.StoreFault, Door: door, Client: "alice", Reason: "replay store: no space left on device"},
		{Outcome: spa.Untried},
		{Outcome: spa.Junk, Reason: "not of the form of a message"},
	} {
		w := &explain.Writer{W: &b, Zone: time.UTC}
		teller := explain.NewTeller(explain.Options{Tell: func(s *explain.Story) {
			if err := w.Story(s); err != nil {
				t.Error(err)
			}
		}})
		v.Src, v.Dst = netip.MustParseAddr("198.51.100.7"), host
		teller.ExplainMessage(begin, knock.Hit{Src: v.Src, Dst: host, Proto: knock.UDP, DstPort: 62201, PayloadLen: 200}, v)
		teller.Close(time.Time{})
		if err := w.Totals(teller, "is in FILE"); err != nil {
			t.Error(err)
		}
		b.WriteByte('\n')
	}
	nettest.Golden(t, "testdata/messages.txt", b.String())
}

// TestPicture: the picture is well-formed, names no port of a sequence, and is as
// it was.
func TestPicture(t *testing.T) {
	p := &explain.Picture{Zone: time.UTC}
	for _, s := range scripts[:8] {
		s.o.Tell = p.Add
		s.o.Opens = func(knock.DoorID) explain.Opening { return explain.Opening{For: 3 * time.Second} }
		teller := explain.NewTeller(s.o)
		play(t, teller, false, s.script)
		teller.Close(time.Time{})
	}
	svg := string(p.SVG())
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range doors() {
		for _, s := range d.Sequence {
			if strings.Contains(svg, fmt.Sprint(s.Port)) {
				t.Errorf("port %d is in the picture", s.Port)
			}
		}
	}
	nettest.Golden(t, "testdata/stories.svg", svg)
	if empty := string((&explain.Picture{Zone: time.UTC}).SVG()); !strings.Contains(empty, "no knock was told of") {
		t.Error(empty)
	}
}

// TestBounds: however many knock, what is under way stays within bounds, and all are
// told of or counted.
func TestBounds(t *testing.T) {
	stories := 0
	teller := explain.NewTeller(explain.Options{Tell: func(*explain.Story) { stories++ }})
	tracker := knock.NewTracker(1000)
	tracker.SetLocal([]netip.Addr{host})
	tracker.SetDoors(doors())
	tracker.SetExplaining(true)
	const sources = 30_000
	for round := range 2 {
		for i := range uint32(sources) {
			h := knock.Hit{Src: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), Dst: host, Proto: knock.TCP,
				DstPort: uint16(7100 + 100*round), Flags: knock.SYN, Seq: i}
			tracker.Observe(h, begin)
			teller.Explain(begin, &h, tracker.Verdicts())
			if s, p := teller.Held(); s > 4097 || p > 16384+60 {
				t.Fatalf("%d stories with %d packets are held", s, p)
			}
		}
	}
	teller.Close(begin)
	if all := stories + int(teller.First) + int(teller.Strays); stories < 1000 || all < sources {
		t.Errorf("%d stories, %d first hits and %d strays of %d sources", stories, teller.First, teller.Strays, sources)
	}
}
