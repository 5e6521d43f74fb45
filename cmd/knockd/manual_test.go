package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/spf13/pflag"
)

// TestManualKnowsOptions: each option that --help lists has an entry in the
// manual, by both its names, and each entry is an option.
func TestManualKnowsOptions(t *testing.T) {
	src, err := os.ReadFile("knockd.1")
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\.It Fl (?:([A-Za-z0-9])(?: Ar \w+)? , Fl )?-([a-z0-9-]+)(?: Ar \w+)?$`).FindAllStringSubmatch(string(src), -1) {
		entries[m[1]+" "+m[2]] = true
	}
	o, err := parseFlags(nil)
	if err != nil {
		t.Fatal(err)
	}
	o.flags.VisitAll(func(f *pflag.Flag) {
		name := f.Shorthand + " " + f.Name
		if !entries[name] {
			t.Errorf("the manual does not know the option %q", name)
		}
		delete(entries, name)
	})
	for name := range entries {
		t.Errorf("the manual has the option %q, which there is not", name)
	}
}
