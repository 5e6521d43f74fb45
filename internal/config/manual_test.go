package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const manual = "../../cmd/knockd/knockd.conf.5"

// TestManual: the manual knows every key, and its examples are read without a
// fault or warning.
func TestManual(t *testing.T) {
	src, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)(?:^\.It| ,) Ic ([A-Za-z0-9_]+)`).FindAllStringSubmatch(string(src), -1) {
		known[strings.ToLower(m[1])] = true
	}
	for name := range optionKeys {
		if !known[name] {
			t.Errorf("the manual does not know the option %s", name)
		}
	}
	for name := range doorKeys {
		if !known[name] {
			t.Errorf("the manual does not know the key %s", name)
		}
	}
	for name := range known {
		if optionKeys.find(name) == nil && doorKeys.find(name) == nil {
			t.Errorf("the manual has %s, which is no key", name)
		}
	}
	examples := 0
	for _, m := range regexp.MustCompile(`(?ms)^\.Bd .*?\n(\[.*?)^\.Ed`).FindAllStringSubmatch(string(src), -1) {
		c, err := Parse("example", []byte(m[1]))
		if err != nil || len(c.Warnings) > 0 || len(c.Doors) == 0 {
			t.Errorf("%s%v, %v", m[1], err, c)
		}
		examples++
	}
	if examples < 8 {
		t.Errorf("%d examples found", examples)
	}
}
