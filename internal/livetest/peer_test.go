package livetest

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"knockd/internal/conformance"
	"knockd/internal/nettest"
)

var (
	peer      = flag.Bool("peer", false, "measure side by side with knockd 0.8 and fwknopd, and print tables; takes minutes")
	peerTable = flag.String("peer-table", "", "write the tables to this file too, if all parts were measured")
)

// TestPeer prints one table of what was measured here and with the peers and
// one of exported rulesets, and fails if a goal is not met. It wants the machine for itself.
func TestPeer(t *testing.T) {
	if !*peer {
		t.Skip("a measurement that takes minutes: make bench-peer")
	}
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "knockd", "knock", "tcpreplay", "strace", "nft", "fwknopd")
	nettest.NeedLibrary(t, "fwknopd", "libpcap")
	c := &comparison{ours: program(t, "knockd")}
	for name, path := range map[string]*string{"knockd": &c.theirs, "knock": &c.knock} {
		var err error
		if *path, err = conformance.ReferenceProgram(name); err != nil {
			nettest.Missing(t, "needs %s 0.8: %v", name, err)
		}
	}
	parts := []struct {
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
		{"rulesets", measureRulesets},
	}
	ran := 0
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			part.measure(t, c)
			ran++
		})
	}
	fmt.Printf("\n%s\n", c)
	if *peerTable != "" && ran == len(parts) && !t.Failed() {
		if err := os.WriteFile(*peerTable, []byte(c.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
	for _, what := range c.unmet {
		t.Errorf("goal not met: %s", what)
	}
}

// comparison is the tables while they grow.
type comparison struct {
	ours, theirs, knock string // programs
	rows                []string
	rulesets            []string // rows of the second table
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

// What the tables are about, above each of them.
const (
	aboutPeer = `The peer is Debian's knockd 0.8, with messages Debian's fwknopd 2.6.10; packets
come from tcpreplay, honest knocks from Debian's knock. "First knocks" are a
flood of first steps from ever new addresses, during which somebody honest knocks
20 times. CPU is that of the process alone.
`
	aboutRulesets = `What the kernel does with exported rulesets, in packets that one processor takes
a second, those who send them included; medians of 3. "First" are first knocks
from ever new addresses, "again" those of 50 addresses that have all knocked
before, "none" packets that are no knock.
`
)

// String returns the tables, each with its day and machine.
func (c *comparison) String() string {
	var b strings.Builder
	table := func(about, head string, rows []string) {
		fmt.Fprintf(&b, "%s, %s\n\n%s\n", time.Now().Format(time.DateOnly), machine(), about)
		w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
		dashes := strings.Join(slices.Repeat([]string{"---"}, strings.Count(head, "|")+1), "\t| ")
		for _, row := range append([]string{head, dashes}, rows...) {
			fmt.Fprintf(w, "| %s\t|\n", row)
		}
		w.Flush()
	}
	table(aboutPeer, "measured\t| knockd\t| peer\t| ratio\t| goal\t| met", c.rows)
	b.WriteString("\n")
	table(aboutRulesets, "ruleset\t| doors\t| first\t| again\t| none", c.rulesets)
	return b.String()
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
	version, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-") // who built it does not matter
	n := strings.Count("\n"+string(cpus), "\nprocessor")
	return fmt.Sprintf("%d cores %s, Linux %s", n, model, version)
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
