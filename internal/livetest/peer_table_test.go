package livetest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/nettest"
)

// TestReadmeFigures: the figures of the README are those that make bench-peer
// has written, of the same day.
func TestReadmeFigures(t *testing.T) {
	read := func(path string) string {
		return nettest.Read(t, path)
	}
	measured := read("../../testdata/bench-peer.txt")
	_, speed, _ := strings.Cut(read("../../README.md"), "\n## Speed\n")
	speed, _, _ = strings.Cut(speed, "\n## ")
	if day, _, _ := strings.Cut(measured, ","); !strings.Contains(speed, day) {
		t.Errorf("the README does not name the day %s", day)
	}
	all, shown := peerRows(measured), peerRows(speed)
	if len(shown) < 8 {
		t.Fatalf("%d rows in the README: %q", len(shown), shown)
	}
	for _, row := range shown {
		if !slices.Contains(all, row) {
			t.Errorf("not in testdata/bench-peer.txt: %q", row)
		}
	}
}

// TestReadmeLinks: what the README shows and leads to is there.
func TestReadmeLinks(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`\]\(([^):]+)\)`).FindAllStringSubmatch(string(text), -1)
	if len(links) < 6 {
		t.Errorf("%d links", len(links))
	}
	for _, m := range links {
		if _, err := os.Stat("../../" + m[1]); err != nil {
			t.Error(err)
		}
	}
}

// peerRows are the rows of a table that begin with the name of a measurement
// and two figures: these three, the letter of a group left out.
func peerRows(text string) (rows []string) {
	for _, m := range regexp.MustCompile(`(?m)^\| (?:[a-f]: )?(.*?) *\| (.*?) *\| (.*?) *\|`).FindAllStringSubmatch(text, -1) {
		if m[1] != "---" && m[2] != "knockd" {
			rows = append(rows, strings.Join(m[1:], " | "))
		}
	}
	return rows
}

// TestPeerTables: what make bench-peer writes, and how the kernel's figures get
// there.
func TestPeerTables(t *testing.T) {
	c := &comparison{rulesets: rulesetRows(`goos: linux
BenchmarkRuleset/nftables/doors=10/first-2    34000    5900 ns/op    169400 packets/s
BenchmarkRuleset/nftables/doors=10/first-2    34000    5900 ns/op    169600 packets/s
BenchmarkRuleset/nftables/doors=10/first-2    34000    5900 ns/op    1e+03 packets/s
BenchmarkRuleset/nftables/doors=10/again-2    34000    5900 ns/op    101900 packets/s
BenchmarkRuleset/iptables-nft/doors=1/first   34000    5900 ns/op    169600 packets/s
BenchmarkRuleset/iptables-nft/doors=1/again   34000    5900 ns/op    7100 packets/s
BenchmarkRuleset/iptables-nft/doors=1/none    34000    5900 ns/op    199100 packets/s
`)}
	c.add("a: last knock to command, median of 100", "ms", 1.23, 26.8, "1 : 10", true)
	c.add("f: allocations for a hit", "", 0, none, reported, false)
	got := regexp.MustCompile(`(?m)^[^|\n].*\n|^\n`).ReplaceAllString(c.String(), "")
	if diff := cmp.Diff(`| measured                                | knockd | peer    | ratio    | goal   | met |
| ---                                     | ---    | ---     | ---      | ---    | --- |
| a: last knock to command, median of 100 | 1.2 ms | 26.8 ms | 1 : 21.8 | 1 : 10 | yes |
| f: allocations for a hit                | 0      | -       | -        |        |     |
| ruleset              | doors | first   | again   | none    |
| ---                  | ---   | ---     | ---     | ---     |
| nftables             | 10    | 169,000 | 102,000 | -       |
| iptables (nf_tables) | 1     | 170,000 | 7,000   | 199,000 |
`, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}
