package main

import (
	"testing"

	"github.com/spf13/pflag"

	"knockd/internal/nettest"
)

// TestCompletions: each shell offers the options that there are, and no others.
func TestCompletions(t *testing.T) {
	o, err := parseFlags(nil)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	o.flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden { // it does nothing
			return
		}
		want = append(want, "--"+f.Name)
		if f.Shorthand != "" {
			want = append(want, "-"+f.Shorthand)
		}
	})
	nettest.MustComplete(t, "knockd", want)
}
