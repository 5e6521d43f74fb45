package main

import (
	"context"
	"regexp"

	"knockd/internal/cli"
)

// subcommand is a first word that is not a host.
type subcommand struct {
	usage string // the whole help text
	run   func(context.Context, *call) int
}

// call is what a subcommand is run with.
type call struct {
	*options // those before the word; parse adds those after it
	sys      system
	before   []string // the arguments before the word
	args     []string // those after it
}

// subcommands are the words known. A function, because the subcommands refer
// to their own usage.
func subcommands() map[string]subcommand {
	return map[string]subcommand{
		"proxy":      {proxyUsage, runProxy},
		"ssh":        {sshUsage, runSSH},
		"ssh-config": {sshConfigUsage, runSSHConfig},
		"spa":        {spaUsage, runSPA},
		"keygen":     {keygenUsage, runKeygen},
		"profiles":   {profilesUsage, runProfiles},
	}
}

// run is the command, given its arguments; it returns the exit status.
func run(ctx context.Context, args []string, sys system) int {
	o := newOptions(sys)
	o.set.SetInterspersed(false)
	if err := o.set.Parse(args); err != nil {
		return sys.badOption(err, usageText)
	}
	rest := o.set.Args()
	if sub, ok := findSubcommand(rest); ok && o.set.ArgsLenAtDash() < 0 && !o.help && !o.version {
		return sub.run(ctx, &call{o, sys, args[:len(args)-len(rest)], rest[1:]})
	}
	o.set.SetInterspersed(true)
	if err := o.set.Parse(args); err != nil {
		return sys.badOption(err, usageText)
	}
	switch {
	case o.help:
		printHelp(sys.stdout)
		return exitOpen
	case o.version:
		cli.PrintVersion(sys.stdout, "knock")
		return exitOpen
	case o.set.NArg() == 0 && o.Profile == "":
		printUsage(sys.stdout)
		return exitUsage
	}
	return runKnock(ctx, o, sys)
}

var portArgument = regexp.MustCompile(`^\d+(:tcp|:udp)?(,(\d+(:tcp|:udp)?)?)*$`)

// findSubcommand reports whether the words begin with a subcommand. A first word
// followed by ports alone is a host.
func findSubcommand(words []string) (subcommand, bool) {
	if len(words) == 0 {
		return subcommand{}, false
	}
	sub, ok := subcommands()[words[0]]
	if !ok || len(words) == 1 {
		return sub, ok
	}
	for _, word := range words[1:] {
		if !portArgument.MatchString(word) {
			return sub, true
		}
	}
	return subcommand{}, false
}

// parse reads the options after a subcommand. If the command ends here, done
// is set and the exit status returned.
func (c *call) parse(usage string) (status int, done bool) {
	c.set.SetInterspersed(true)
	if err := c.set.Parse(c.args); err != nil {
		return c.sys.badOption(err, usage), true
	}
	if c.help {
		c.sys.print(usage)
		return exitOpen, true
	}
	c.args = c.set.Args()
	return 0, false
}
