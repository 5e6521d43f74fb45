package offline

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"knockd/internal/action"
	"knockd/internal/capture"
	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/spa"
)

var traces = flag.String("conformance", "", "a directory of further recorded traces")

// witness holds what is said of each packet against what was decided on it.
type witness struct {
	t       *testing.T
	decided []string // since the packet before
	packets int
	opened  int
}

func (w *witness) event(_ time.Time, e event.Event) {
	switch e := e.(type) {
	case event.Stage:
		w.decided = append(w.decided, fmt.Sprintf("%v %v step %d", e.Knocker.Addr, e.Door, e.Stage))
	case event.Admitted:
		w.decided = append(w.decided, fmt.Sprintf("%v %v opens", e.Knocker.Addr, e.Door))
		w.opened++
	case event.AttemptFailed:
		w.decided = append(w.decided, fmt.Sprintf("%v %v ended at %d", e.Knocker.Addr, e.Door, e.Stage))
	}
}

// Explain implements engine.Explainer.
func (w *witness) Explain(at time.Time, hit *knock.Hit, verdicts []knock.Verdict) {
	w.packets++
	var said []string
	for i := range verdicts {
		v := &verdicts[i]
		switch v.Outcome {
		case knock.Took:
			said = append(said, fmt.Sprintf("%v %v step %d", hit.Src, v.Door, v.Stage))
		case knock.Ended:
			said = append(said, fmt.Sprintf("%v %v ended at %d", hit.Src, v.Door, v.Stage))
		}
		if v.Opens() {
			said = append(said, fmt.Sprintf("%v %v opens", hit.Src, v.Door))
		}
	}
	if !slices.Equal(w.decided, said) || len(verdicts) == 0 {
		w.t.Errorf("packet %d, %v: decided %q, said %q", w.packets, at, w.decided, said)
	}
	w.decided = w.decided[:0]
}

// ExplainMessage implements engine.Explainer.
func (w *witness) ExplainMessage(time.Time, knock.Hit, spa.Verdict) { w.t.Error("a message") }

// TestExplainAgrees: of each packet of the recorded traces is said what was decided
// on it.
func TestExplainAgrees(t *testing.T) {
	dirs, err := filepath.Glob("../../testdata/traces/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no traces", err)
	}
	more, _ := filepath.Glob(filepath.Join(*traces, "*"))
	opened := 0
	for _, dir := range append(dirs, more...) {
		if _, err := os.Stat(filepath.Join(dir, "trace.pcap")); err != nil {
			continue
		}
		conf, err := config.Load(filepath.Join(dir, "knockd.conf"))
		if err != nil {
			t.Fatal(err)
		}
		conf.LogFailures = true
		source, err := capture.OpenFile(filepath.Join(dir, "trace.pcap"))
		if err != nil {
			t.Fatal(err)
		}
		w := &witness{t: t}
		r := Replay{Local: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")},
			Actions: action.Stopped(), Event: w.event, Explainer: w}
		if err := r.Run(conf, source); err != nil || w.packets == 0 || len(w.decided) > 0 {
			t.Errorf("%s: %d packets, %q left, %v", dir, w.packets, w.decided, err)
		}
		source.Close()
		opened += w.opened
	}
	if opened == 0 {
		t.Error("nothing was decided")
	}
}
