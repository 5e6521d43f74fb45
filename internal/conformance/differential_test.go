package conformance

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/packet"
)

var (
	traces = flag.Int("traces", 40, "random traces to give to the installed knockd")
	all    = flag.String("conformance", "", "a directory of further recorded traces")
)

// TestModelIsKnockd: the model with the list bug decides what the installed
// knockd decides. So what the model without it decides is what knockd would.
func TestModelIsKnockd(t *testing.T) {
	oracle := NewOracle(t)
	random := nettest.Rand(t)
	for i := range *traces {
		trace := Random(random, time.Second)
		got := (&Model{Doors: trace.Doors, ListBug: true}).Run(trace.Packets)
		if diff := cmp.Diff(Decisions(oracle.Run(trace)), Decisions(got)); diff != "" {
			t.Fatalf("trace %d: knockd -, model +:\n%s\n%s", i, diff, trace.Config)
		}
	}
}

// TestTrackerIsModel: the tracker decides what the model without the bug does,
// whole seconds or not, also when the number of attempts is bounded.
func TestTrackerIsModel(t *testing.T) {
	random := nettest.Rand(t)
	for i := range 10 * *traces {
		trace := Random(random, []time.Duration{time.Second, time.Millisecond, 1}[i%3])
		limit := 100
		if i%2 == 0 {
			limit = 1 + random.IntN(6)
		}
		want := (&Model{Doors: trace.Doors, Limit: limit}).Run(trace.Packets)
		if diff := cmp.Diff(Decisions(want), Decisions(Track(trace, limit))); diff != "" {
			t.Fatalf("trace %d, limit %d: model -, tracker +:\n%s\n%s", i, limit, diff, trace.Config)
		}
	}
}

// TestRepeatsDecideNothing: segments that took a step, sent again within 40
// seconds, change nothing, wherever they fall.
func TestRepeatsDecideNothing(t *testing.T) {
	random := nettest.Rand(t)
	for i := range 4 * *traces {
		trace := Random(random, time.Second)
		want := Track(trace, 100)
		repeated := &Trace{trace.Config, trace.Doors, withRepeats(random, trace)}
		if diff := cmp.Diff(want, Track(repeated, 100)); diff != "" {
			t.Fatalf("trace %d: without repeats -, with +:\n%s\n%s", i, diff, trace.Config)
		}
	}
}

// withRepeats returns the packets of a trace and, between them, repeats of
// those that took a step.
func withRepeats(random *rand.Rand, trace *Trace) (out []Packet) {
	tracker := newTracker(trace, 100)
	var steps []Packet // with the time when they were last seen
	for _, p := range trace.Packets {
		for i := range steps {
			if p.Time.Sub(steps[i].Time) < 40*time.Second && random.IntN(3) == 0 {
				steps[i].Time = p.Time
				out = append(out, steps[i])
			}
		}
		out = append(out, p)
		took := false
		for _, e := range tracker.Observe(p.Hit, p.Time) {
			took = took || e.Kind == knock.Stage
		}
		if took && p.Proto == knock.TCP {
			steps = append(steps, p)
		}
	}
	return out
}

// TestListBugShows: the switch of the model is not for nothing.
func TestListBugShows(t *testing.T) {
	random := nettest.Rand(t)
	for range 100 {
		trace := Random(random, time.Second)
		with := (&Model{Doors: trace.Doors, ListBug: true}).Run(trace.Packets)
		if with != (&Model{Doors: trace.Doors}).Run(trace.Packets) {
			return
		}
	}
	t.Error("no trace of 100 lets the list bug show")
}

// TestRecordedTraces compares tracker, model and, with the bug, the installed
// knockd on recorded traces.
func TestRecordedTraces(t *testing.T) {
	for _, dir := range recorded(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			trace, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(filepath.Join(dir, "expect.log"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), Decisions(Track(trace, 1000))); diff != "" {
				t.Errorf("recorded -, tracker +:\n%s", diff)
			}
			model := (&Model{Doors: trace.Doors}).Run(trace.Packets)
			if diff := cmp.Diff(string(want), Decisions(model)); diff != "" {
				t.Errorf("recorded -, model +:\n%s", diff)
			}
		})
	}
}

func recorded(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("../../testdata/traces/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no recorded traces", err)
	}
	if *all != "" {
		more, _ := filepath.Glob(filepath.Join(*all, "*"))
		dirs = append(dirs, more...)
	}
	return dirs
}

// TestReadersAgree: the project's readers of configurations and packets find
// in recorded and random traces what this package's own find.
func TestReadersAgree(t *testing.T) {
	random := nettest.Rand(t)
	for range *traces {
		trace := Random(random, time.Second)
		agree(t, trace)
	}
	for _, dir := range recorded(t) {
		trace, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, trace)
	}
}

func agree(t *testing.T, trace *Trace) {
	t.Helper()
	c, err := config.Parse("knockd.conf", []byte(trace.Config))
	if err != nil {
		t.Fatalf("%v\n%s", err, trace.Config)
	}
	var doors []*knock.Door
	for _, d := range c.Doors {
		doors = append(doors, &d.Door)
	}
	if diff := cmp.Diff(trace.Doors, doors, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("doors: here -, package config +:\n%s", diff)
	}
	for i, p := range trace.Packets {
		ip := Frame(p.Hit)[14:]
		got, ok := new(packet.Decoder).Decode(ip, len(ip))
		if !ok || got.Hit != p.Hit {
			t.Fatalf("packet %d: here %+v, package packet %+v (%v)", i, p.Hit, got.Hit, ok)
		}
	}
}
