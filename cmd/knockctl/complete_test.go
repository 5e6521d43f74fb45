package main

import (
	"bytes"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

const configs = "../../configs"

// helpOption is an option in the help of a command.
var helpOption = regexp.MustCompile(`(?m)^ +(?:(-[a-zA-Z0-9]), )?(--[a-z][a-z0-9-]*)`)

// optionsOf are the options that a command's own help names.
func optionsOf(t *testing.T, command string) (all []string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{command, "--help"}, &world{stdout: &out, stderr: &errs}); code != 0 {
		t.Fatalf("knockctl %s --help: %d %s", command, code, &errs)
	}
	for _, m := range helpOption.FindAllStringSubmatch(out.String(), -1) {
		all = append(all, m[2])
		if m[1] != "" {
			all = append(all, m[1])
		}
	}
	slices.Sort(all)
	return all
}

// TestCompletions: each shell offers the commands and options that there are,
// and no other options.
func TestCompletions(t *testing.T) {
	for _, shell := range nettest.Shells {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			out, err := nettest.Completer(t, shell, configs, "knockctl ").CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, c := range commands() {
				if !slices.Contains(strings.Fields(string(out)), c.name) {
					t.Errorf("knockctl %s is not offered: %q", c.name, out)
				}
				if got, want := nettest.CompletedOptions(t, shell, configs, "knockctl "+c.name+" -"), optionsOf(t, c.name); !slices.Equal(got, want) {
					t.Errorf("knockctl %s: configs offer %q\nwant %q", c.name, got, want)
				}
			}
		})
	}
}

// TestCompletionsOfDoors: names are those of the configuration that the line
// names, and nothing in it is run.
func TestCompletionsOfDoors(t *testing.T) {
	dir := t.TempDir()
	conf := nettest.Write(t, filepath.Join(dir, "conf"), "[options]\n[openSSH]\n[open web]\n[open$(touch${IFS}made)]\n")
	for line, want := range map[string]string{
		"knockctl export nftables -c " + conf + " openS": "openSSH", "knockctl export ipt": "iptables", "knockctl import fw": "fwknop",
		"knockctl export nftables --hook pre": "prerouting",
	} {
		for _, shell := range nettest.Shells {
			t.Run(shell+" "+line, func(t *testing.T) {
				t.Parallel()
				cmd := nettest.Completer(t, shell, configs, line)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "options") {
					t.Errorf("%v: %q does not offer %s", err, out, want)
				}
				if made, _ := filepath.Glob(filepath.Join(dir, "made")); made != nil {
					t.Error("a name was run")
				}
			})
		}
	}
}
