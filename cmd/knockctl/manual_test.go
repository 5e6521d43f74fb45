package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"knockd/internal/control"
)

// TestManualOfInterface: the manual has every method and error of the interface,
// and no others.
func TestManualOfInterface(t *testing.T) {
	src, err := os.ReadFile("knockctl.1")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(src), ".Ss The control socket\n")
	section, _, _ = strings.Cut(section, "\n.Ss ")
	names := func(pattern, text string) (list []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			list = append(list, m[1])
		}
		slices.Sort(list)
		return list
	}
	said, have := names(`(?m)^\.It Li (\w+)$`, section), names(`(?m)^(?:method|error) (\w+) ?\(`, control.Description)
	if !slices.Equal(said, have) {
		t.Errorf("the manual has %q\nthe interface %q", said, have)
	}
}

// TestManual: the manual has every command and option that there is, and no
// others.
func TestManual(t *testing.T) {
	src, err := os.ReadFile("knockctl.1")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, c := range commands() {
		have = append(have, c.name)
		for _, o := range optionsOf(t, c.name) {
			have = append(have, c.name+" "+o)
		}
	}
	var said []string
	_, synopsis, _ := strings.Cut(string(src), ".Sh SYNOPSIS\n")
	synopsis, described, _ := strings.Cut(synopsis, ".Sh DESCRIPTION\n")
	for part := range strings.SplitSeq(synopsis, ".Nm\n") {
		command := regexp.MustCompile(`^\.Cm (\S+)`).FindStringSubmatch(part)
		if command == nil {
			continue
		}
		if said = append(said, command[1]); !strings.Contains(described, ".It Cm "+command[1]) {
			t.Errorf("%s: not described", command[1])
		}
		for _, m := range regexp.MustCompile(`(?:Fl |\| )(-[a-z][a-z0-9-]+|\b[a-z0-9]\b)`).FindAllStringSubmatch(strings.ReplaceAll(part, "| Fl ", "| "), -1) {
			said = append(said, command[1]+" -"+m[1])
			if !regexp.MustCompile(`(?m)^\.It (Fl [a-z0-9] , )?(Fl )?` + regexp.QuoteMeta(m[1]) + `\b`).MatchString(strings.ReplaceAll(described, ".It Fl ", ".It ")) {
				t.Errorf("%s -%s: not described", command[1], m[1])
			}
		}
	}
	slices.Sort(said)
	for _, one := range slices.Compact(said) {
		if !slices.Contains(have, one) {
			t.Errorf("the manual has %s, which there is not", one)
		}
	}
	// A short option stands for the long one, which its item names too.
	for _, one := range have {
		command, option, _ := strings.Cut(one, " ")
		short := regexp.MustCompile(`(?m)^\.It Fl ([a-zA-Z0-9]) , ` + regexp.QuoteMeta(strings.TrimPrefix(option, "-")) + `\b`).FindStringSubmatch(described)
		if option == "-h" || option == "--help" || slices.Contains(said, one) || short != nil && slices.Contains(said, command+" -"+short[1]) {
			continue
		}
		t.Errorf("the manual does not know %s", one)
	}
}
