package livetest

import (
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// rulesetLine is a line of "go test -bench".
var rulesetLine = regexp.MustCompile(`(?m)^BenchmarkRuleset/([a-z-]+)/doors=(\d+)/(first|again|none)\S*\s.*?\s([\d.e+]+) packets/s`)

// measureRulesets: how many packets one processor takes through exported
// rulesets.
func measureRulesets(t *testing.T, c *comparison) {
	out, err := exec.Command("go", "test", "-run=^$", "-bench=^BenchmarkRuleset$", "-benchtime=200ms", "-count=3",
		"knockd/internal/ruleset").CombinedOutput()
	if err != nil {
		t.Fatalf("go test: %v\n%s", err, out)
	}
	c.rulesets = rulesetRows(string(out))
	if len(c.rulesets) == 0 {
		t.Fatalf("no benchmark\n%s", out)
	}
}

// rulesetRows makes rows of what "go test -bench" has printed: one for each
// ruleset and number of doors, with the medians.
func rulesetRows(out string) (rows []string) {
	rates := map[string][]float64{}
	var names []string
	for _, m := range rulesetLine.FindAllStringSubmatch(out, -1) {
		name := m[1] + "\t| " + m[2]
		if _, ok := rates[name+m[3]]; !ok && m[3] == "first" {
			names = append(names, name)
		}
		rate, _ := strconv.ParseFloat(m[4], 64)
		rates[name+m[3]] = append(rates[name+m[3]], rate)
	}
	backEnds := strings.NewReplacer("iptables-nft", "iptables (nf_tables)", "iptables-legacy", "iptables (legacy)")
	for _, name := range names {
		row := backEnds.Replace(name)
		for _, kind := range []string{"first", "again", "none"} {
			rate := "-"
			if all := rates[name+kind]; len(all) > 0 {
				rate = fmt.Sprintf("%.0f,000", math.Round(median(all)/1000))
			}
			row += "\t| " + rate
		}
		rows = append(rows, row)
	}
	return rows
}
