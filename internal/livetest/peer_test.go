package livetest

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"knockd/internal/conformance"
	"knockd/internal/nettest"
)

var peer = flag.Bool("peer", false, "measure side by side with knockd 0.8 and fwknopd, and print a table; takes minutes")

// TestPeer prints one table of what was measured here and with the peers, and
// fails if a goal is not met. It wants the machine for itself.
func TestPeer(t *testing.T) {
	if !*peer {
		t.Skip("a measurement that takes minutes: make bench-peer")
	}
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "knockd", "knock", "tcpreplay", "strace", "nft", "fwknopd")
	c := &comparison{ours: program(t, "knockd")}
	for name, path := range map[string]*string{"knockd": &c.theirs, "knock": &c.knock} {
		var err error
		if *path, err = conformance.ReferenceProgram(name); err != nil {
			nettest.Missing(t, "needs %s 0.8: %v", name, err)
		}
	}
	for _, part := range []struct {
		name    string
		measure func(*testing.T, *comparison)
	}{
		{"latency", measureLatency},
		{"flood", measureFlood},
		{"knocks", measureKnocks},
		{"doors", measureDoors},
		{"idle", measureIdle},
		{"tracker", measureTracker},
		{"strict", measureStrict},
		{"held", measureHeld},
		{"messages", measureMessages},
		{"junk", measureJunk},
	} {
		t.Run(part.name, func(t *testing.T) { part.measure(t, c) })
	}
	c.print()
	for _, what := range c.unmet {
		t.Errorf("goal not met: %s", what)
	}
}

// comparison is the table while it grows.
type comparison struct {
	ours, theirs, knock string // programs
	rows                []string
	unmet               []string
}

// contestants are the two daemons, by the column that they fill.
func (c *comparison) contestants() []string { return []string{c.ours, c.theirs} }

// none stands in a table for what was not measured.
var none = math.NaN()

// reported is a row without goal.
const reported = ""

// add adds a row. Where there is a goal, met says whether it is.
func (c *comparison) add(what, unit string, ours, theirs float64, goal string, met bool) {
	verdict := ""
	if goal != reported {
		verdict = "yes"
		if !met {
			verdict = "NO"
			c.unmet = append(c.unmet, what)
		}
	}
	c.rows = append(c.rows, strings.Join([]string{what, quantity(ours, unit), quantity(theirs, unit),
		ratio(ours, theirs), goal, verdict}, "\t| "))
	fmt.Fprintf(os.Stderr, "%s\n", strings.ReplaceAll(c.rows[len(c.rows)-1], "\t", " "))
}

func (c *comparison) print() {
	fmt.Printf("\n%s, %s\n\n", time.Now().Format(time.DateOnly), machine())
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	for _, row := range append([]string{"measured\t| knockd\t| peer\t| ratio\t| goal\t| met",
		"---\t| ---\t| ---\t| ---\t| ---\t| ---"}, c.rows...) {
		fmt.Fprintf(w, "| %s\t|\n", row)
	}
	w.Flush()
	fmt.Println()
}

// machine names processor and kernel.
func machine() string {
	cpus, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown processor"
	for line := range strings.Lines(string(cpus)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	n := strings.Count("\n"+string(cpus), "\nprocessor")
	return fmt.Sprintf("%d cores %s, Linux %s", n, model, strings.TrimSpace(string(release)))
}

// quantity writes a number with about three digits.
func quantity(v float64, unit string) string {
	switch {
	case math.IsNaN(v):
		return "-"
	case v == math.Trunc(v) || math.Abs(v) >= 100:
		return strings.TrimSpace(fmt.Sprintf("%.0f %s", v, unit))
	case math.Abs(v) >= 10:
		return strings.TrimSpace(fmt.Sprintf("%.1f %s", v, unit))
	}
	return strings.TrimSpace(fmt.Sprintf("%.2g %s", v, unit))
}

// ratio says how many times the one is the other.
func ratio(ours, theirs float64) string {
	switch {
	case math.IsNaN(ours) || math.IsNaN(theirs) || ours <= 0 || theirs <= 0:
		return "-"
	case ours <= theirs:
		return fmt.Sprintf("1 : %.1f", theirs/ours)
	}
	return fmt.Sprintf("%.1f : 1", ours/theirs)
}
