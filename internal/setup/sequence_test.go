package setup

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// FuzzSequence: every sequence is one that is neither advised against nor found
// by those who try what everybody tries.
func FuzzSequence(f *testing.F) {
	f.Add(uint32(1), uint16(32768), uint16(60999), uint16(22))
	f.Add(uint32(2), uint16(1024), uint16(65535), uint16(1))
	f.Add(uint32(3), uint16(1), uint16(64000), uint16(65535))
	f.Fuzz(func(t *testing.T, seed uint32, first, last, used uint16) {
		if first == 0 || first > last || used == 0 {
			t.Skip()
		}
		h := box(None, open, open)
		h.Ephemeral = knock.PortRange{First: first, Last: last}
		h.Listening = append(h.Listening, knock.Step{Proto: knock.TCP, Port: used})
		before, err := config.Parse("k", fmt.Appendf(nil, "[x]\nsequence = %d,%d:udp\nopen = tcp/7100-7300\n", used/2+1, used/3+1))
		if err != nil {
			t.Fatal(err)
		}
		p, err := Propose(h, Ask{File: "k", Exists: true, Port: 22, Name: "ssh"}, before, &always{seed})
		if err != nil {
			if len(poolOf(1, append(h.used(), before.Doors[0].Open...))) < enough+3 && strings.Contains(err.Error(), "ports are left") {
				return
			}
			t.Fatal(err)
		}
		ports := p.Sequence
		if len(ports) != steps {
			t.Fatalf("%d steps", len(ports))
		}
		rises, falls := 0, 0
		for i, a := range ports {
			one := knock.PortRange{Proto: knock.TCP, First: a.Port, Last: a.Port}
			for _, b := range ports[:i] {
				if d := int(a.Port) - int(b.Port); d >= -1 && d <= 1 {
					t.Errorf("neighbours: %v", ports)
				}
			}
			if i > 0 && a.Port > ports[i-1].Port {
				rises++
			} else if i > 0 {
				falls++
			}
			for _, r := range slices.Concat(knock.Scanned(), h.used(), knock.PortsOf(before.Doors[0].Sequence), before.Doors[0].Open) {
				if r.First <= one.First && one.First <= r.Last {
					t.Errorf("%v is in %v", a, r)
				}
			}
		}
		if rises == 0 || falls == 0 {
			t.Errorf("in order: %v", ports)
		}
		// All by itself, as -t reads it. Propose fails if there is any advice.
		if made := parse(t, strings.ReplaceAll(p.Text, "\tnew ", "\t# new ")); len(made.Advice)+len(made.Warnings) > 0 || !made.Doors[0].Strict {
			t.Errorf("%v %v", made.Advice, made.Warnings)
		}
	})
}

// TestRandom: no two sequences are alike, and a source that gives nothing is an
// error.
func TestRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		seq, err := sequence(rand.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		seen[fmt.Sprint(seq)] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d sequences of 100", len(seen))
	}
	if _, err := sequence(bytes.NewReader(nil), nil); !errors.Is(err, io.EOF) {
		t.Errorf("no randomness: %v", err)
	}
	if _, err := sequence(zeros{}, nil); err == nil || !strings.Contains(err.Error(), "does not work") {
		t.Errorf("the same number always: %v", err)
	}
	if _, err := sequence(rand.Reader, []knock.PortRange{{First: 1, Last: 65435}}); err == nil || !strings.Contains(err.Error(), "ports are left") {
		t.Errorf("no ports: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestScanned: the ports are those that nmap tries. Its list changes a little
// from version to version.
func TestScanned(t *testing.T) {
	nettest.NeedProgram(t, "nmap")
	out, err := exec.Command("nmap", "--top-ports", "1000", "-v", "-oG", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`TCP\(1000;([0-9,-]+)\)`).FindSubmatch(out)
	if text == nil {
		t.Fatalf("nmap: %s", out)
	}
	known := map[uint16]bool{}
	for _, r := range knock.Scanned() {
		for p := r.First; p <= r.Last; p++ {
			known[p] = true
		}
	}
	missing := 0
	for word := range strings.SplitSeq(string(text[1]), ",") {
		r, err := knock.ParsePortRange(word)
		if err != nil {
			t.Fatal(err)
		}
		for p := r.First; p <= r.Last; p++ {
			if !known[p] {
				missing++
			}
		}
	}
	if len(known) != 1000 || missing > 50 {
		t.Errorf("%d ports, and %d of nmap's are not among them", len(known), missing)
	}
}
