package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"knockd/internal/nettest"
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

// TestManualsAreSound has mandoc look for mistakes in the pages of the daemon
// and of the tool.
func TestManualsAreSound(t *testing.T) {
	nettest.NeedProgram(t, "mandoc")
	for _, page := range pages(t) {
		out, _ := exec.Command("mandoc", "-T", "lint", page).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			// Whether other manuals are installed says nothing about ours.
			if !strings.Contains(line, "outdated mandoc.db") && !strings.Contains(line, "referenced manual not found") {
				t.Error(line)
			}
		}
	}
}

// TestManualsNameSections: a section that a page names in itself is there, and
// one that it names in another page is there.
func TestManualsNameSections(t *testing.T) {
	headings := func(page string) string {
		src, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`(?m)^\.S[hs] (.*)$`).FindAllString(string(src), -1)
		return strings.Join(found, "\n") + "\n"
	}
	for _, page := range pages(t) {
		src, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^\.Sx (.*?)( [.,;:])?$`).FindAllStringSubmatch(string(src), -1) {
			if !strings.Contains(headings(page), " "+m[1]+"\n") {
				t.Errorf("%s has no section %s", page, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`(?m)^\.Dq (.*)\nin\n\.Xr (knockd(?:\.conf)?) (\d)`).FindAllStringSubmatch(string(src), -1) {
			if other := m[2] + "." + m[3]; !strings.Contains(headings(other), " "+m[1]+"\n") {
				t.Errorf("%s has no section %s, which %s names", other, m[1], page)
			}
		}
	}
}

// pages are the manuals of the daemon and of the tool.
func pages(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("../knock[cd]*/*.[1-8]")
	if err != nil || len(list) != 5 {
		t.Fatalf("%v, %v", list, err)
	}
	return list
}
