package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

// manual is the text of our manual.
func manual(t *testing.T) string {
	t.Helper()
	return nettest.Read(t, "knock.1")
}

// TestManualIsSound has mandoc look for mistakes.
func TestManualIsSound(t *testing.T) {
	nettest.NeedProgram(t, "mandoc")
	out, _ := exec.Command("mandoc", "-T", "lint", "knock.1").CombinedOutput()
	for line := range strings.Lines(string(out)) {
		// Whether other manuals are installed says nothing about ours.
		if !strings.Contains(line, "outdated mandoc.db") && !strings.Contains(line, "referenced manual not found") {
			t.Error(line)
		}
	}
}

// TestManualNamesAllOptions: none is missing, and the help has them too.
func TestManualNamesAllOptions(t *testing.T) {
	text := manual(t)
	help := try("-h").stdout + try("proxy", "-h").stdout + try("ssh-config", "-h").stdout +
		try("spa", "-h").stdout + try("keygen", "-h").stdout
	for _, name := range optionNames() {
		if !strings.Contains(text, "Fl -"+name) {
			t.Errorf("knock.1 lacks --%s", name)
		}
		if !strings.Contains(help, "--"+name) {
			t.Errorf("the help lacks --%s", name)
		}
	}
	for word := range subcommands() {
		if !strings.Contains(text, "Cm "+word) {
			t.Errorf("knock.1 lacks knock %s", word)
		}
	}
}

// TestManualExamples runs each example of the manual as it stands there: with
// the profile of the manual, at a host where ssh is behind no door.
func TestManualExamples(t *testing.T) {
	t.Parallel()
	examples := regexp.MustCompile(`(?m)^\.Dl [$#] (.*)$`).FindAllStringSubmatch(manual(t), -1)
	if len(examples) < 10 {
		t.Fatalf("%d examples found", len(examples))
	}
	cli, srv := nettest.Pair(t)
	l := newLogin(t, cli, srv)
	l.sshConfig("")
	blocks := regexp.MustCompile(`(?s)\.Bd -literal[^\n]*\n(.*?)\.Ed`).FindAllStringSubmatch(manual(t), -1)
	l.write(".config/knock/config", blocks[1][1])
	l.write("sequences", " 1,2\n")
	l.write("hosts", nettest.Server4+" server.example.com\n"+nettest.Server6+" server.example.com\n")
	l.write("ssh", "#!/bin/sh\nexec /usr/bin/ssh -F "+l.path("ssh_config")+" \"$@\"\n")
	l.write("knock", "#!/bin/sh\nexec "+self(t)+" \"$@\"\n")
	for _, name := range []string{"ssh", "knock"} {
		os.Chmod(l.path(name), 0o755)
	}
	os.Mkdir(l.path(".ssh"), 0o700)
	l.env = append(l.env, "PATH="+l.dir+":"+os.Getenv("PATH"), asKnock+"=1")
	commands := []string{blocks[len(blocks)-1][1]}
	for _, e := range examples {
		commands = append(commands, strings.ReplaceAll(e[1], `\&`, ""))
	}
	for _, example := range commands {
		tap := newTap(t, srv)
		cmd := exec.CommandContext(context.Background(), "sh", "-c", example)
		cmd.Env, cmd.Dir, cmd.Stdin = l.env, l.dir, strings.NewReader("")
		got := finish(t, cli, withHosts(t, cmd, l.path("hosts")))
		if got.code != 0 || got.stderr != "" {
			t.Errorf("%s\n%+v", example, got)
		}
		sent := tap.from(nettest.Client4) + tap.from(nettest.Client6)
		if silent := strings.Contains(example, "--dry-run") || strings.Contains(example, "ssh-config"); silent != (sent == "") {
			t.Errorf("%s\nsent %q", example, sent)
		}
	}
	if text, _ := os.ReadFile(filepath.Join(l.dir, ".ssh/config")); !strings.Contains(string(text), "ProxyCommand knock proxy --profile %n %h %p") {
		t.Errorf("~/.ssh/config: %q", text)
	}
	if text, _ := os.ReadFile(l.path("sequences")); string(text) != "#1,2\n" {
		t.Errorf("~/sequences: %q", text)
	}
}
