package main

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

// try calls the command in this process.
func try(args ...string) result {
	var stdout, stderr bytes.Buffer
	none := func(string) string { return "" }
	code := run(context.Background(), args, system{strings.NewReader(""), &stdout, &stderr, none})
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// TestErrors: what is wrong, what to do, and the exit status. Nothing of it
// sends a packet.
func TestErrors(t *testing.T) {
	for args, want := range map[string]string{
		"":                      "1 " + usageText,
		"192.0.2.1":             "1 " + usageText,
		"-x":                    "1 knock: invalid option -- 'x'\n" + usageText,
		"-vx 192.0.2.1 7":       "1 knock: invalid option -- 'x'\n" + usageText,
		"192.0.2.1 -1":          "1 knock: invalid option -- '1'\n" + usageText,
		"--foo":                 "1 knock: unrecognized option '--foo'\n" + usageText,
		"--ver":                 "1 knock: unrecognized option '--ver'\n" + usageText,
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
		"-h": usageText, "--help": usageText, "-hV": usageText, "--he": usageText,
		"-V": "knock devel\n", "--version": "knock devel\n", "-vV": "knock devel\n", "--vers": "knock devel\n",
	} {
		if got := try(args); got.code != 0 || got.stdout != want || got.stderr != "" {
			t.Errorf("knock %s: %+v", args, got)
		}
	}
}

// TestNameThatCannotBeFound needs a host without a way to a name server.
func TestNameThatCannotBeFound(t *testing.T) {
	h := nettest.NewHost(t, "lonely")
	got := knockOn(t, h, "nosuchhost.invalid", "7000")
	const hint = "knock: hint: the name server does not answer: check the network, or knock at the address in numbers\n"
	if got.code != 2 || !strings.HasPrefix(got.stderr, "knock: look up nosuchhost.invalid: ") || !strings.HasSuffix(got.stderr, hint) {
		t.Errorf("%+v", got)
	}
}

// TestNoWay: a host without the route, IPv4 and IPv6, TCP, UDP and raw.
func TestNoWay(t *testing.T) {
	h := nettest.NewHost(t, "lonely")
	const hint4 = "knock: hint: this machine has no way to that address: check the network, the route, and --source\n"
	const hint6 = "knock: hint: this machine has no way to IPv6 addresses, or not to this one: try -4\n"
	for args, want := range map[string]string{
		"192.0.2.1 7":                    "knock: knock at 192.0.2.1: connect: network is unreachable\n" + hint4,
		"2001:db8::1 7":                  "knock: knock at 2001:db8::1: connect: network is unreachable\n" + hint6,
		"192.0.2.1 7:udp":                "knock: knock at 192.0.2.1: connect: network is unreachable\n" + hint4,
		"--source 192.0.2.9 127.0.0.1 7": "knock: knock at 127.0.0.1: source address 192.0.2.9: cannot assign requested address\n" + hint4,
		"--interface nope 127.0.0.1 7":   "knock: knock at 127.0.0.1: interface nope: no such device\n",
	} {
		if got := knockOn(t, h, strings.Fields(args)...); got.code != 2 || got.stderr != want || got.stdout != "" {
			t.Errorf("knock %s: %d %q %q, want %q", args, got.code, got.stdout, got.stderr, want)
		}
	}
}

// TestSaysTheSameAsKnock08 runs both commands with what both understand.
func TestSaysTheSameAsKnock08(t *testing.T) {
	nettest.NeedProgram(t, "/usr/bin/knock")
	h := nettest.NewHost(t, "h")
	for _, args := range []string{
		"-v 127.0.0.1 7000 8000:udp 9000:tcp", "-v -u 127.0.0.1 7000:tcp 8000", "-v ::1 7000", "-v 127.0.0.1 1 -u 2",
		"--del 10 -v 127.0.0.1 1", "--verb 127.0.0.1 7", "-v 127.0.0.1 7000:", "-v -4 localhost 7", "-d 1 -v -- 127.0.0.1 7",
		"127.0.0.1 7", "-d10 -v 127.0.0.1 7 8", "--delay=10 -uv 127.0.0.1 7 8", "", "127.0.0.1", "-x", "--foo", "-d", "--delay",
		"--ipv4=3 127.0.0.1 1", "127.0.0.1 -1",
	} {
		knock08 := exec.Command("/usr/bin/knock", strings.Fields(args)...)
		knock08.Args[0] = "knock"
		theirs := finish(t, h, knock08)
		ours := knockOn(t, h, strings.Fields(args)...)
		if ours.code != theirs.code || ours.stdout != theirs.stdout || ours.stderr != theirs.stderr {
			t.Errorf("knock %s:\n%+v\nknock 0.8:\n%+v", args, ours, theirs)
		}
	}
}
