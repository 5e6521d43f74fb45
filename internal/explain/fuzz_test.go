package explain_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"knockd/internal/control"
	"knockd/internal/explain"
	"knockd/internal/knock"
)

// FuzzTeller plays packets read from the input: whatever comes, each packet is told
// or counted, and no text names a port of a sequence.
func FuzzTeller(f *testing.F) {
	f.Add([]byte("\x01\x00\x01\x01\x02\x01\x01\x04\x01"), false)
	f.Add([]byte("\x01\x00\x01\x01\x05\x01\x11\x02\x31\x41\x07\x01"), true)
	f.Fuzz(func(t *testing.T, data []byte, wired bool) {
		var text strings.Builder
		ports := explain.NewPorts(doors(), nil)
		w := &explain.Writer{W: &text, Ports: ports, Zone: time.UTC}
		asJSON := &explain.JSON{W: &text, Ports: ports}
		picture := &explain.Picture{Zone: time.UTC}
		shown := uint64(0)
		teller := explain.NewTeller(explain.Options{Ports: ports, Tell: func(s *explain.Story) {
			shown += uint64(len(s.Packets) + s.LeftOut)
			if s.Verdict == "" {
				t.Errorf("a story without a verdict: %+v", s)
			}
			if w.Story(s) != nil || asJSON.Story(s) != nil {
				t.Error("not written")
			}
			picture.Add(s)
		}})
		p := &player{t: t, tracker: knock.NewTracker(4), teller: teller, explain: teller.Explain}
		if wired {
			p.explain = p.byWire
		}
		p.tracker.SetLocal([]netip.Addr{host})
		p.tracker.SetDoors(doors())
		p.tracker.SetFailureLimit(knock.FailureLimit{Count: 3, Within: time.Minute, For: 10 * time.Second}, nil, nil)
		p.tracker.SetExplaining(true)
		at, packets := begin, uint64(0)
		all := [...]uint16{7000, 8000, 9000, 7100, 7200, 5000, 22, 443}
		for ; len(data) > 1; data = data[2:] {
			at = at.Add(time.Duration(data[0]&7) * 700 * time.Millisecond)
			h := knock.Hit{Src: netip.AddrFrom4([4]byte{10 + data[0]>>7*188, 0, 0, data[0] >> 5 & 3}), Dst: host, SrcPort: 4000, Proto: knock.TCP,
				DstPort: all[data[1]&7], Flags: knock.Flags(data[1] >> 3 & 0x1a), Seq: uint32(data[1] >> 6), PayloadLen: int(data[0] & 1)}
			if data[0]&0x10 != 0 {
				h.Dst = netip.AddrFrom4([4]byte{203, 0, 113, 1})
			}
			p.tracker.Observe(h, at)
			p.explain(at, &h, p.tracker.Verdicts())
			packets++
		}
		teller.Close(at)
		if err := w.Totals(teller, "is in FILE"); err != nil {
			t.Error(err)
		}
		if got := shown + teller.First + teller.Strays + teller.Others; got != packets || teller.Packets != packets {
			t.Errorf("%d packets are told or counted of %d:\n%s", got, packets, &text)
		}
		said := text.String() + string(picture.SVG())
		for _, d := range doors() {
			for _, s := range d.Sequence {
				if strings.Contains(said, fmt.Sprintf("tcp/%d", s.Port)) || strings.Contains(said, fmt.Sprintf(`"port":%d,`, s.Port)) {
					t.Errorf("port %d of a sequence is told", s.Port)
				}
			}
		}
	})
}

// FuzzFromWire reads packets as they come through the control socket: whatever they
// hold, a story can be made of them, which a terminal shows as it is.
func FuzzFromWire(f *testing.F) {
	f.Add([]byte(`{"at":"2026-11-28T12:00:00Z","protocol":"tcp","source":"192.0.2.7","destination":"192.0.2.1","verdicts":[{"kind":"opens","text":"x","door":"ssh","step":3,"stage":3,"stages":3}]}`))
	f.Add([]byte(`{"protocol":"icmp","source":"::1","verdicts":[{"kind":"new","text":"\u001b[2J","door":"\u001b"},{"kind":"message_refused","text":"x","refusal":"denied"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var wire control.Packet
		if json.Unmarshal(data, &wire) != nil {
			return
		}
		p := explain.FromWire(&wire)
		var text strings.Builder
		w := &explain.Writer{W: &text, Zone: time.UTC}
		picture := &explain.Picture{Zone: time.UTC}
		teller := explain.NewTeller(explain.Options{Source: p.Hit.Src, Tell: func(s *explain.Story) {
			if err := w.Story(s); err != nil {
				t.Error(err)
			}
			picture.Add(s)
		}})
		teller.Packet(&p)
		teller.Packet(&p)
		teller.Close(p.At)
		picture.SVG()
		if strings.ContainsAny(text.String(), "\x1b\r\x00") {
			t.Errorf("%q", text.String())
		}
	})
}
