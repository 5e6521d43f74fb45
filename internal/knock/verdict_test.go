package knock_test

import (
	"net/netip"
	"testing"
	"time"

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
			var failed []knock.Decision
			for i, s := range tt.hits {
				hit := knock.Hit{Src: netip.MustParseAddr("192.0.2.1"), Dst: local, Proto: s.Proto, DstPort: s.Port, Flags: knock.SYN, Seq: uint32(i)}
				for _, e := range tr.Observe(hit, time.Unix(int64(i), 0)) {
					if e.Kind == knock.Failed {
						failed = append(failed, e)
					}
				}
			}
			if tr.Verdict() != knock.Ended {
				t.Errorf("%s: verdict %v", tt.name, tr.Verdict())
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

// TestVerdict: each reason why a packet does nothing is told from the others.
func TestVerdict(t *testing.T) {
	local, knocker := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.1")
	door := &knock.Door{Name: "ssh", N: 1, Timeout: time.Minute, Sequence: []knock.Step{{Proto: knock.TCP, Port: 1}, {Proto: knock.TCP, Port: 5}},
		Flags: knock.FlagMatch{Set: knock.SYN}, PacketLength: knock.Lengths{Max: 100}, Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32")}}
	tr := knock.NewTracker(10)
	tr.SetLocal([]netip.Addr{local})
	tr.SetDoors([]*knock.Door{door})
	hit := knock.Hit{Src: knocker, Dst: local, Proto: knock.TCP, DstPort: 1, Flags: knock.SYN, SrcPort: 7}
	for i, tt := range []struct {
		change func(*knock.Hit)
		want   knock.Verdict
	}{
		{func(h *knock.Hit) { h.DstPort = 2 }, knock.NoStep},
		{func(h *knock.Hit) { h.Dst = knocker }, knock.NoStep},
		{func(h *knock.Hit) { h.Flags = knock.ACK }, knock.WrongFlags},
		{func(h *knock.Hit) { h.PayloadLen = 101 }, knock.WrongLength},
		{func(h *knock.Hit) { h.Src = netip.MustParseAddr("192.0.2.9") }, knock.NotAllowed},
		{func(h *knock.Hit) { h.DstPort = 5 }, knock.Nothing},
		{func(*knock.Hit) {}, knock.Took},
		{func(*knock.Hit) {}, knock.Repeat},
		{func(h *knock.Hit) { h.DstPort, h.Seq = 1, 9 }, knock.Ended},
	} {
		h := hit
		tt.change(&h)
		tr.Observe(h, time.Unix(int64(i), 0))
		if got := tr.Verdict(); got != tt.want || got.String() == "" {
			t.Errorf("hit %d: %v, want %v", i, got, tt.want)
		}
	}
}
