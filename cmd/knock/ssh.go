package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"knockd/internal/cli"
)

const sshUsage = `usage: knock [options] ssh [ssh's options] [user@]HOST [command]
Run ssh so that it connects through knock proxy, with the profile of HOST.
All after the word ssh is ssh's, the options of knock -h come before it.
`

// exitSSH is the exit status of ssh's own errors.
const exitSSH = 255

// knocksAlready is a ProxyCommand that is ours.
var knocksAlready = regexp.MustCompile(`\bknock\S* (.* )?proxy `)

// runSSH becomes ssh, with a ProxyCommand that knocks.
func runSSH(ctx context.Context, c *call) int {
	switch {
	case len(c.args) == 0:
		c.sys.print(sshUsage)
		return exitUsage
	case c.args[0] == "--help":
		c.sys.print(sshUsage)
		return exitOpen
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		return c.sys.exit(cli.Usagef("install OpenSSH's client", "find ssh: %w", err))
	}
	config, err := sshConfig(ctx, ssh, c.args)
	if err != nil {
		c.sys.stderr.Write([]byte(err.Error()))
		return exitSSH
	}
	args := c.args
	if !knocksAlready.MatchString(config["proxycommand"]) {
		if err := otherProxy(config); err != nil {
			return c.sys.exit(err)
		}
		if err := c.precheck(ctx, config); err != nil {
			c.sys.exit(err)
			return exitSSH
		}
		command, err := c.proxyCommand()
		if err != nil {
			return c.sys.exit(err)
		}
		args = append([]string{"-o", "ProxyCommand=" + command}, args...)
	}
	return c.sys.execProgram(ssh, append([]string{"ssh"}, args...))
}

// sshConfig asks ssh what its configuration says about the arguments. The
// error is the text that ssh printed.
func sshConfig(ctx context.Context, ssh string, args []string) (map[string]string, error) {
	cmd := exec.CommandContext(ctx, ssh, append([]string{"-G"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if stderr.Len() == 0 {
			fmt.Fprintf(&stderr, "knock: ssh -G: %v\n", err)
		}
		return nil, fmt.Errorf("%s", stderr.String())
	}
	config := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		config[strings.ToLower(key)] = value
	}
	return config, nil
}

// precheck finds what would stop knock proxy, before ssh adds its own words to
// that: no profile, no keys, no unused line, a name that nobody knows.
func (c *call) precheck(ctx context.Context, config map[string]string) error {
	if config["host"] == "" {
		return nil // an ssh that does not say it, or was asked for something else
	}
	o, sys := *c.options, c.sys
	if o.Profile == "" {
		o.Profile = config["host"]
	}
	o.Host, o.Stdin, sys.stderr = config["hostname"], strings.NewReader(""), io.Discard // knock proxy says what there is to say
	r := newReport(&o, sys, io.Discard)
	p, err := o.Make(r)
	if err != nil {
		return err
	}
	hosts, err := resolve(ctx, p)
	if err != nil {
		return err
	}
	return printPlan(p, r, hosts)
}

// otherProxy refuses a host that ssh already reaches by a detour, which ours
// would replace.
func otherProxy(config map[string]string) error {
	jump, command := config["proxyjump"], config["proxycommand"]
	switch {
	case jump != "" && jump != "none":
		return cli.Usagef("if the jump host has the door, put the output of knock ssh-config "+jump+" into ~/.ssh/config and run plain ssh",
			"ssh reaches this host by ProxyJump %s", jump)
	case command != "" && command != "none":
		return cli.Usagef("have that ProxyCommand call knock proxy, or run knock -w tcp/22 HOST before plain ssh",
			"this host has a ProxyCommand already: %s", command)
	}
	return nil
}

// thisProgram returns the path of the program, under the name that it was called
// by: a file that is several commands goes by that.
func thisProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	is, err := os.Stat(self)
	if err != nil {
		return self, nil // it was replaced while it runs
	}
	named, err := exec.LookPath(os.Args[0])
	if err != nil {
		return self, nil
	}
	if named, err = filepath.Abs(named); err != nil {
		return self, nil
	}
	if by, err := os.Stat(named); err != nil || !os.SameFile(is, by) {
		return self, nil
	}
	return named, nil
}

// proxyCommand returns the ProxyCommand, with the options given to this run.
func (c *call) proxyCommand() (string, error) {
	self, err := thisProgram()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	words := []string{quote(self)}
	for _, word := range c.before {
		words = append(words, quote(word))
	}
	words = append(words, "proxy")
	if c.Profile == "" {
		words = append(words, "--profile", "%n")
	}
	return strings.Join(append(words, "%h", "%p"), " "), nil
}

// quote makes one word of a text for the shell, through ssh, which expands
// what begins with a percent sign.
func quote(text string) string {
	text = strings.ReplaceAll(text, "%", "%%")
	if runtime.GOOS == "windows" {
		return `"` + text + `"`
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
