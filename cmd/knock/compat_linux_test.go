package main

import (
	"os/exec"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

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
		"127.0.0.1 7", "-d10 -v 127.0.0.1 7 8", "--delay=10 -uv 127.0.0.1 7 8", "", "-x", "--foo", "-d", "--delay",
		"--ipv4=3 127.0.0.1 1", "127.0.0.1 -1",
	} {
		knock08 := exec.Command("/usr/bin/knock", strings.Fields(args)...)
		knock08.Args[0] = "knock"
		theirs := finish(t, h, knock08)
		ours := knockOn(t, h, strings.Fields(args)...)
		if strings.Contains(ours.stderr, "invalid option") || strings.Contains(ours.stderr, "unrecognized option") {
			theirs.stdout += helpText // what such an option may have been meant for
		}
		if ours.code != theirs.code || ours.stdout != theirs.stdout || ours.stderr != theirs.stderr {
			t.Errorf("knock %s:\n%+v\nknock 0.8:\n%+v", args, ours, theirs)
		}
	}
}
