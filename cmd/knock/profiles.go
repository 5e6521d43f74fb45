package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"knockd/internal/cli"
	"knockd/internal/profile"
)

const profilesUsage = `usage: knock profiles [--json] [--config FILE]
List the profiles of the configuration, a line each: name, host, what it knocks
with, and the port it waits for. Sections whose names are patterns stand for no
host of their own and are left out.
`

// profileLine is what is said of a profile; of the secret only its kind.
type profileLine struct {
	Name string `json:"name"`
	Host string `json:"host"`
	With string `json:"with"`
	Wait string `json:"wait,omitempty"`
}

// runProfiles lists the profiles.
func runProfiles(_ context.Context, c *call) int {
	if status, done := c.parse(profilesUsage); done {
		return status
	}
	if len(c.args) > 0 {
		return c.sys.exit(cli.Usagef("write: knock profiles", "profiles takes no words but options"))
	}
	config, err := c.LoadConfig()
	if err != nil {
		return c.sys.exit(err)
	}
	lines := []profileLine{}
	for _, name := range config.Names() {
		prof, _ := config.Find(name)
		lines = append(lines, describeProfile(name, prof))
	}
	if c.json {
		json.NewEncoder(c.sys.stdout).Encode(lines)
		return exitOpen
	}
	if len(lines) == 0 {
		c.sys.speaker().Say("no profiles in "+c.ConfigName(), "knock(1) has examples under PROFILES")
	}
	c.sys.print(profileTable(lines))
	return exitOpen
}

func describeProfile(name string, p profile.Profile) profileLine {
	line := profileLine{Name: name, Host: p.Host, With: "no sequence"}
	switch {
	case p.Address.IsValid():
		line.Host = p.Address.String()
	case p.Host == "":
		line.Host = name
	}
	switch {
	case p.Sequence != nil:
		line.With = "sequence"
	case p.SequenceFile != "":
		line.With = "sequence file"
	case p.OneTimeFile != "":
		line.With = "one-time file"
	case p.SPAKeyFile != "":
		line.With = "keys"
	}
	if p.Wait != 0 {
		line.Wait = fmt.Sprintf("tcp/%d", p.Wait)
	}
	return line
}

func profileTable(lines []profileLine) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		row := strings.Join([]string{l.Name, l.Host, l.With, l.Wait}, "\t")
		fmt.Fprintln(w, strings.TrimRight(row, "\t"))
	}
	w.Flush()
	return text.String()
}
