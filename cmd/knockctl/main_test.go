package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"knockd/internal/nettest"
	"knockd/internal/ruleset"
)

func TestMain(m *testing.M) { nettest.Main(m) }

const oneDoor = `[options]
	logfile = /var/log/knockd.log
[SSH]
	sequence      = 8881,9991,7777,7000
	tcpflags      = syn
	start_command = /sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
	cmd_timeout   = 30
	stop_command  = /sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
`

// session is one run of knockctl.
type session struct {
	code           int
	stdout, stderr string
}

func call(t *testing.T, run1 ruleset.Runner, args ...string) session {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, &world{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, run: run1})
	return session{code, stdout.String(), stderr.String()}
}

func writeConf(t *testing.T, text string) string {
	t.Helper()
	return nettest.Write(t, filepath.Join(t.TempDir(), "knockd.conf"), text)
}

func noProgram(_ context.Context, _ []byte, name string, _ ...string) (string, error) {
	return "", fmt.Errorf("%s must not be run", name)
}

func TestCommandLine(t *testing.T) {
	good := writeConf(t, oneDoor)
	bad := writeConf(t, "[door]\nsequence=7000,8000,9000,1\nstart_command=/bin/open %IP%\n")
	for _, c := range []struct {
		args   string
		code   int
		stderr string
	}{
		{"", 2, "knockctl: no command\nknockctl: hint: knockctl --help lists them\n"},
		{"shut", 2, "knockctl: unknown command \"shut\"\nknockctl: hint: knockctl --help lists them\n"},
		{"export", 2, "knockctl: which ruleset: nftables or iptables?\nknockctl: hint: " + exportUsage + "\n"},
		{"export pf", 2, "knockctl: which ruleset: nftables or iptables?\nknockctl: hint: " + exportUsage + "\n"},
		{"export nftables --hook forward", 2, "knockctl: --hook forward: must be input or prerouting\nknockctl: hint: " + exportUsage + "\n"},
		{"export nftables --group 0", 2, "knockctl: --group: must be between 1 and 65534\nknockctl: hint: " + exportUsage + "\n"},
		{"export nftables --ipv6", 2, "knockctl: --ipv6: an nftables ruleset has both families already\nknockctl: hint: " + exportUsage + "\n"},
		{"export nftables --apply --remove", 2, "knockctl: --apply and --remove: one or the other\nknockctl: hint: " + exportUsage + "\n"},
		{"export nftables --remove SSH", 2, "knockctl: --remove: takes out the whole ruleset; name no door\nknockctl: hint: " + exportUsage + "\n"},
		{"export nftables -c " + good + " nobody", 1, "knockctl: no door is called \"nobody\"\n"},
		{"export nftables -c " + bad, 1, "knockctl: " + bad + ":1: [door] start_command: is no iptables command; a ruleset runs no commands: add open = tcp/22 (the ports it shall open) or close = DOOR\n"},
		{"kernel-log now", 2, "knockctl: \"now\": one word too many\nknockctl: hint: " + kernelLogUsage + "\n"},
		{"export nftables -i eth0,eth0/1 -c " + good, 2, ""},
	} {
		got := call(t, noProgram, strings.Fields(c.args)...)
		if got.code != c.code || got.stdout != "" || c.stderr != "" && got.stderr != c.stderr {
			t.Errorf("knockctl %s:\n%+v\nwant %d %q", c.args, got, c.code, c.stderr)
		}
	}
	for _, args := range []string{"--help", "export --help", "kernel-log -h", "--version"} {
		if got := call(t, noProgram, strings.Fields(args)...); got.code != 0 || got.stderr != "" || got.stdout == "" {
			t.Errorf("knockctl %s: %+v", args, got)
		}
	}
}

func TestExportPrints(t *testing.T) {
	conf := writeConf(t, oneDoor)
	for args, want := range map[string]string{
		"export nftables":                   "set k_SSH_open_4 {",
		"export nftables SSH":               "table inet knock",
		"export nftables --hook prerouting": "hook prerouting priority mangle",
		"export nftables -i wg0":            `iifname { "wg0" }`,
		"export nftables --group 9":         "group 9",
		"export iptables":                   "-A SSH-INPUTTWO -m recent --set --name SSH2\n",
		"export iptables --ipv6":            "-A SSH-INPUTTWO -m recent --set --name SSH2V6\n",
		"export iptables --observe":         "REJECT --reject-with tcp-reset",
	} {
		got := call(t, noProgram, append(strings.Fields(args), "-c", conf)...)
		if got.code != 0 || !strings.Contains(got.stdout, want) || got.stderr != "" {
			t.Errorf("knockctl %s: want %q\n%+v", args, want, got)
		}
	}
}
