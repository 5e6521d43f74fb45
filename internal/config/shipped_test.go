package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestShipped: the configurations that come with the program have no faults,
// no warnings or advice, and doors.
func TestShipped(t *testing.T) {
	files, err := filepath.Glob("../../configs/*.conf")
	if err != nil || len(files) < 2 {
		t.Fatal("which files?", files, err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Parse(file, src)
		if err != nil || len(c.Warnings) > 0 || len(c.Doors) == 0 {
			t.Errorf("%s: %v, %+v", file, err, c)
			continue
		}
		for _, a := range c.Advice { // the example says of itself that it is one
			if !strings.HasSuffix(a, "choose ports of your own") || filepath.Base(file) != "knockd.conf" {
				t.Error(a)
			}
		}
	}
}
