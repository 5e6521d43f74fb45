package journal

import (
	"net/netip"
	"testing"

	"knockd/internal/knock"
)

// TestJournalArguments: what builds without typed arguments have written is
// read, and what cannot be understood is no opening.
func TestJournalArguments(t *testing.T) {
	ssh := knock.Step{Proto: knock.TCP, Port: 22}
	for _, tt := range []struct {
		name string
		r    line
		want knock.Arguments
		ok   bool
	}{
		{"command", line{Stop: "true"}, knock.Arguments{}, true},
		{"all ports", line{Kind: "nft"}, knock.Arguments{Version: 1}, true},
		{"one port", line{Kind: "nft", Data: "tcp/22"}, knock.Arguments{Version: 1, Port: ssh}, true},
		{"elsewhere", line{Kind: "nat", Data: "tcp/22 10.0.0.5:2222"},
			knock.Arguments{Version: 1, Port: ssh, To: netip.MustParseAddrPort("10.0.0.5:2222")}, true},
		{"elsewhere, IPv6", line{Kind: "nat", Data: "udp/53 [fd00::5]:53"},
			knock.Arguments{Version: 1, Port: knock.Step{Proto: knock.UDP, Port: 53}, To: netip.MustParseAddrPort("[fd00::5]:53")}, true},
		{"list", line{Kind: "xt_recent", Data: "SSH 2"}, knock.Arguments{Version: 1, Value: "SSH 2"}, true},
		{"typed", line{Kind: "nat", Args: &arguments{Version: 1, Port: "tcp/22", To: netip.MustParseAddrPort("10.0.0.5:2222")}},
			knock.Arguments{Version: 1, Port: ssh, To: netip.MustParseAddrPort("10.0.0.5:2222")}, true},
		{"no port", line{Kind: "nft", Data: "22"}, knock.Arguments{}, false},
		{"several ports", line{Kind: "nft", Data: "tcp/22-23"}, knock.Arguments{}, false},
		{"nowhere", line{Kind: "nat", Data: "tcp/22 there"}, knock.Arguments{}, false},
		{"of a later build", line{Kind: "nft", Args: &arguments{Version: 2}}, knock.Arguments{}, false},
	} {
		got, ok := tt.r.arguments()
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

// TestJournalOfBefore: a journal of a build without typed arguments is taken
// over whole.
func TestJournalOfBefore(t *testing.T) {
	var text []byte
	for i, r := range []line{
		{Kind: "nft", What: "tcp/22", Door: "ssh", Occurrence: 2},
		{Kind: "nat", What: "tcp/2200 to 10.9.0.2:22", Data: "tcp/2200 10.9.0.2:22", Door: "web", Occurrence: 1},
		{Kind: "xt_recent", What: "list SSH", Data: "SSH", Door: "list", Occurrence: 1},
		{Stop: "true", Door: "command", Occurrence: 1},
	} {
		r.Do, r.ID, r.Addr = doOpening, uint64(i+1), netip.MustParseAddr("192.0.2.7")
		text = appendLine(text, r)
	}
	p := replay(text)
	if p.damaged != 0 || len(p.live) != 4 {
		t.Fatalf("%d damaged, %d live", p.damaged, len(p.live))
	}
	if got := p.live[1].Door; got != (knock.DoorID{Name: "ssh", N: 2}) {
		t.Errorf("door %v", got)
	}
	want := knock.Arguments{Version: 1, Port: knock.Step{Proto: knock.TCP, Port: 2200}, To: netip.MustParseAddrPort("10.9.0.2:22")}
	if p.live[2].Args != want {
		t.Errorf("arguments %+v", p.live[2].Args)
	}
	if got := p.live[3].Args.Value; got != "SSH" {
		t.Errorf("list %q", got)
	}
}
