package ruleset

import (
	"fmt"
	"strings"
	"testing"

	"knockd/internal/knock"
)

// TestNamesOfManyAlike: many doors whose names begin alike have chains whose
// names fit, and lists that no two of them share.
func TestNamesOfManyAlike(t *testing.T) {
	var doors []*Door
	for i := range 1200 {
		d := &Door{Open: []knock.PortRange{{Proto: knock.TCP, First: 22, Last: 22}}}
		d.Name = []string{"customer service entrance", "ssh", "ssh_2", "ssh1"}[i%4]
		d.Timeout = 25e9
		for k := range 12 {
			d.Sequence = append(d.Sequence, knock.Step{Proto: knock.TCP, Port: uint16(1000 + k)})
		}
		doors = append(doors, d)
	}
	p, err := newPlan(doors, Options{}, naming{chainName, "_%d-", maxChainID})
	if err != nil {
		t.Fatal(err)
	}
	ipt := newIpt(p)
	seen := map[string]string{}
	for _, d := range p.doors {
		for k := 1; k <= d.last(); k++ {
			name := ipt.list(d, k)
			if other := seen[name]; other != "" {
				t.Fatalf("list %s is that of %s and of %s", name, other, d.id)
			}
			seen[name] = d.id
			if k > 1 && len(d.inputChain(k)) > 28 {
				t.Fatalf("%s has %d octets", d.inputChain(k), len(d.inputChain(k)))
			}
		}
	}
}

// TestLogName: a name that the log has no room for is cut, and told from
// others that begin alike; the kernel's limits hold, and it can be read back.
func TestLogName(t *testing.T) {
	long := strings.Repeat("a", 47)
	for name, want := range map[string]string{
		"ssh":                     "ssh",
		long + "bcd":              long + "bcd",
		long + "bcde":             strings.Repeat("a", 41) + "-0f13932f",
		long + "bcdf":             strings.Repeat("a", 41) + "-2e714626",
		strings.Repeat("ö", 8):    strings.Repeat("%C3%B6", 8),
		strings.Repeat("ö", 9):    strings.Repeat("%C3%B6", 6) + "-a2ead6d3",
		strings.Repeat(" \n", 40): strings.Repeat(" %0A", 10) + " -0199c9a6",
	} {
		got := logName(name)
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
		d := &door{Door: &Door{Door: knock.Door{Name: name}}}
		for _, prefix := range []string{d.stagePrefix(knock.MaxSteps), d.openedPrefix()} {
			if len(prefix) > 63 {
				t.Errorf("%q has %d octets", prefix, len(prefix))
			}
			if door, stage, ok := ParseLogPrefix(prefix); !ok || len(name) < 9 && door != name {
				t.Errorf("%q is read as %q, %d, %v", prefix, door, stage, ok)
			}
		}
	}
}

// TestCostNotes: who exports many doors is told what they cost, in the report and
// in the file, and that the other back end costs less.
func TestCostNotes(t *testing.T) {
	for _, c := range []struct {
		doors, slow, strict int
		want                string // the beginnings of the sentences
	}{
		{16, 0, 0, ""},
		{17, 0, 0, "17 doors: they are asked one by one when|One table of 524288 addresses"},
		{17, 2, 0, "17 doors: too few have a seq_timeout of at most 30s, so they are asked one by one at each knock."},
		{40, 17, 17, "40 doors: 17 of them, by a seq_timeout of more than 30s, are asked one by one at each knock.|One table of|Each packet to another port"},
	} {
		doors := testDoors(c.doors)
		for i := range c.slow {
			doors[i].Timeout = 31e9
		}
		for i := range c.strict {
			doors[i].Strict = true
			doors[i].Flags = knock.FlagMatch{Set: knock.SYN, Clear: knock.ACK}
		}
		var notes []string
		for _, n := range IptablesNotes(doors, Options{}) {
			if !strings.Contains(n, "steps: a scan") {
				notes = append(notes, n)
			}
		}
		want := strings.Split(c.want, "|")
		if c.want == "" {
			want = nil
		}
		text, err := Iptables(doors, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(notes) != len(want) {
			t.Errorf("%d doors: %q", c.doors, notes)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(notes[i], want[i]) || !strings.Contains(string(text), "\n# "+notes[i]+"\n") {
				t.Errorf("%d doors: %q", c.doors, notes[i])
			}
		}
		if len(want) > 0 && !strings.Contains(notes[0], "knockctl export nftables") {
			t.Errorf("%d doors: %q", c.doors, notes[0])
		}
		if nft, err := Nftables(doors, Options{}); err != nil || strings.Contains(string(nft), fmt.Sprint(c.doors, " doors:")) {
			t.Errorf("nftables: %v", err)
		}
	}
}
