package config

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestConformance reads configurations that knockd 0.8 was given: what works
// there is read to the same, and what cannot work is refused.
func TestConformance(t *testing.T) {
	src, err := os.ReadFile("testdata/configs.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Config, Verdict string
		Debug                 Trace // with -i: no line for an interface
	}
	if err := json.Unmarshal(src, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 47 {
		t.Fatalf("%d cases: some are missing", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			config, err := Parse("knockd.conf", []byte(c.Config))
			switch {
			case c.Verdict == "accept" && err != nil:
				t.Fatalf("refused: %v", err)
			case c.Verdict == "reject" && err == nil:
				t.Fatal("accepted")
			}
			if err != nil {
				checkFaults(t, err)
				return
			}
			if got := config.Trace.WithoutInterface(); c.Verdict == "accept" && !slices.Equal(got, c.Debug) {
				t.Errorf("-D prints\n%q\nwant\n%q", got, c.Debug)
			}
		})
	}
}

var faultLine = regexp.MustCompile(`^knockd\.conf:[0-9]+: (\[.+\] )?\S`)

// checkFaults asserts that each fault names its line.
func checkFaults(t *testing.T, err error) {
	t.Helper()
	var all *FaultError
	if !errors.As(err, &all) {
		t.Fatalf("%T: must be a *FaultError", err)
	}
	for _, f := range all.Unwrap().(interface{ Unwrap() []error }).Unwrap() {
		if !faultLine.MatchString(f.Error()) {
			t.Errorf("%q: names no line", f)
		}
	}
}
