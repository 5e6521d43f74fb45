package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/client/plan"
)

// result is what a run of the command left behind.
type result struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

// try calls the command in this process.
func try(args ...string) result {
	var stdout, stderr bytes.Buffer
	none := func(string) string { return "" }
	code := run(context.Background(), args, system{strings.NewReader(""), &stdout, &stderr, none})
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

const portHint = "write PORT, PORT:tcp or PORT:udp; the ports are in the sequence of the server's door"

// TestErrors: what is wrong, what to do, and the exit status. Nothing of it
// sends a packet.
func TestErrors(t *testing.T) {
	for args, want := range map[string]string{
		"": "1 " + usageText,
		"192.0.2.1": "1 knock: no sequence for 192.0.2.1\n" +
			"knock: hint: name the ports, or write a section [192.0.2.1] with a sequence into the configuration (knock(1), PROFILES)\n",
		"-x":                    "1 knock: invalid option -- 'x'\n" + usageText + helpText,
		"-vx 192.0.2.1 7":       "1 knock: invalid option -- 'x'\n" + usageText + helpText,
		"192.0.2.1 -1":          "1 knock: invalid option -- '1'\n" + usageText + helpText,
		"--foo":                 "1 knock: unrecognized option '--foo'\n" + usageText + helpText,
		"--ver":                 "1 knock: unrecognized option '--ver'\n" + usageText + helpText,
		"-d":                    "1 knock: option requires an argument -- 'd'\n" + usageText,
		"--delay":               "1 knock: option '--delay' requires an argument\n" + usageText,
		"--ipv4=3 192.0.2.1 1":  "1 knock: option '--ipv4' doesn't allow an argument\n" + usageText,
		"-d -5 192.0.2.1 1":     "1 knock: --delay -5: cannot be negative\n",
		"-d abc 192.0.2.1 1":    "1 knock: --delay abc: must be milliseconds or a time such as 200ms\n",
		"--flags foo 192.0.2.1": "1 knock: --flags foo: \"foo\" is none of fin, syn, rst, psh, ack, urg\n",
		"192.0.2.1 7 70000":     "1 knock: port 70000: must be between 1 and 65535\nknock: hint: " + portHint + "\n",
		"192.0.2.1 0":           "1 knock: port 0: must be between 1 and 65535\nknock: hint: " + portHint + "\n",
		"192.0.2.1 7:sctp":      "1 knock: port 7: protocol \"sctp\": must be tcp or udp\nknock: hint: " + portHint + "\n",
		"192.0.2.1 7 ssh":       "1 knock: \"ssh\" is not a port\nknock: hint: " + portHint + "\n",
		"-- 192.0.2.1 -1":       "1 knock: \"-1\" is not a port\nknock: hint: " + portHint + "\n",
		"-6 192.0.2.1 7":        "2 knock: 192.0.2.1 is not an IPv6 address\nknock: hint: leave out -4 and -6, or name another address\n",
		"-4 2001:db8::1 7":      "2 knock: 2001:db8::1 is not an IPv4 address\nknock: hint: leave out -4 and -6, or name another address\n",
		"--source ::1 192.0.2.1 7": "1 knock: source address ::1: not of the same family as 192.0.2.1\n" +
			"knock: hint: choose the family with -4 or -6, or give a source address of the other one\n",
	} {
		got := try(strings.Fields(args)...)
		text := string(rune('0'+got.code)) + " " + got.stderr + got.stdout
		if text != want {
			t.Errorf("knock %s:\n%s\nwant:\n%s", args, text, want)
		}
	}
}

// TestHelpAndVersion: both are answers, not errors. Knock 0.8 ends with 1
// after -h.
func TestHelpAndVersion(t *testing.T) {
	for args, want := range map[string]string{
		"-h": usageText + helpText, "--help": usageText + helpText, "-hV": usageText + helpText, "--he": usageText + helpText,
		"-V": "knock " + cli.Version + "\n", "--version": "knock " + cli.Version + "\n", "-vV": "knock " + cli.Version + "\n", "--vers": "knock " + cli.Version + "\n",
	} {
		if got := try(args); got.code != 0 || got.stdout != want || got.stderr != "" {
			t.Errorf("knock %s: %+v", args, got)
		}
	}
}

// optionNames are the long names of all options.
func optionNames() []string {
	var names []string
	o := newOptions(system{})
	registerSPA(&plan.SPA{}, o.set)
	o.set.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return append(names, "fdpass", "match-exec", "server", "client", "hmac", "qr", "write", "phone")
}
