package conformance

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/nettest"
)

func TestDecisions(t *testing.T) {
	log := `[2024-01-02 03:04] starting up, listening on lo
[2024-01-02 03:04] 10.0.0.1: a: Stage 1
[2024-01-02 03:04] 10.0.0.3: b: sequence timeout (stage 2)
[2024-01-02 03:05] 10.0.0.1: a: sequence timeout (stage 1)

10.0.0.1: a: OPEN SESAME
b: running command: /bin/true 10.0.0.2
[2024-01-02 03:05] a: running command: /bin/true 10.0.0.1
[2024-01-02 03:06] 10.0.0.2: a: sequence timeout (stage 1)
`
	want := `10.0.0.1: a: Stage 1
10.0.0.1: a: sequence timeout (stage 1)
10.0.0.3: b: sequence timeout (stage 2)
10.0.0.1: a: OPEN SESAME
`
	if diff := cmp.Diff(want, Decisions(log)); diff != "" {
		t.Error(diff)
	}
	want = "a: running command: /bin/true 10.0.0.1\nb: running command: /bin/true 10.0.0.2\n"
	if diff := cmp.Diff(want, Commands(log)); diff != "" {
		t.Error(diff)
	}
}

// TestRandomSurvivesTheFile: what Random makes is what a reader of its files
// finds in them.
func TestRandomSurvivesTheFile(t *testing.T) {
	trace := Random(nettest.Rand(t), 1)
	doors, err := readDoors(trace.Config)
	if err != nil {
		t.Fatal(err)
	}
	if got := ConfigText(doors); got != trace.Config {
		t.Errorf("read back:\n%s\nwant:\n%s", got, trace.Config)
	}
	name := t.TempDir() + "/trace.pcap"
	nettest.Write(t, name, string(Capture(trace.Packets)))
	packets, err := ReadCapture(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(packets) != len(trace.Packets) {
		t.Fatalf("%d packets, want %d", len(packets), len(trace.Packets))
	}
	for i, p := range packets {
		want := trace.Packets[i]
		if p.Hit != want.Hit || !p.Time.Equal(want.Time) {
			t.Fatalf("packet %d: %+v, want %+v", i, p, want)
		}
	}
}
