package main

import (
	"context"
	"fmt"
	"regexp"

	"knockd/internal/cli"
)

const sshConfigUsage = `usage: knock ssh-config [--match-exec] [--config FILE] NAME
Print what makes plain ssh knock at the host of the profile NAME, for
~/.ssh/config.

  --match-exec     print a Match block that runs knock before ssh connects
`

// plainName is a name that means the same to ssh_config and to a shell.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`)

// runSSHConfig prints a stanza.
func runSSHConfig(_ context.Context, c *call) int {
	var match bool
	c.set.BoolVar(&match, "match-exec", false, "")
	if status, done := c.parse(sshConfigUsage); done {
		return status
	}
	text, err := c.stanza(match)
	c.sys.print(text)
	return c.sys.exit(err)
}

func (c *call) stanza(match bool) (string, error) {
	if len(c.args) != 1 || !plainName.MatchString(c.args[0]) || c.args[0][0] == '-' {
		return "", cli.Usagef("write: knock ssh-config NAME", "ssh-config takes the name of a profile: letters, digits, and _.:-")
	}
	c.Profile = c.args[0]
	prof, err := c.FindProfile(newReport(c.options, c.sys, c.sys.stdout))
	if err != nil {
		return "", err
	}
	if !match {
		return prof.SSHConfig(c.args[0], c.configOption()), nil
	}
	if prof.OneTimeFile != "" {
		return "", cli.Usagef("use the form without --match-exec",
			"ssh runs a Match exec also when it does not connect, and each time would use up a line of %s", prof.OneTimeFile)
	}
	return matchStanza(c.args[0], c.configOption()), nil
}

// configOption repeats --config for the command in the stanza.
func (c *call) configOption() string {
	if c.Config == "" {
		return ""
	}
	return " --config " + quote(c.Config)
}

// matchStanza knocks before ssh connects by itself.
func matchStanza(name, config string) string {
	return "# Below the Host block of " + name + ", whose HostName and Port it uses.\n" +
		fmt.Sprintf("Match originalhost %s exec \"knock%s -w tcp/%%p --profile %s %%h\"\n", name, config, name)
}
