package main

import (
	"strings"
	"testing"

	"knockd/internal/nettest"
)

// TestOnePacketPerKnock looks at the wire: each knock is one packet, in the
// order asked for, whatever the server answers.
func TestOnePacketPerKnock(t *testing.T) {
	const mixed = "tcp 7000 syn\nudp 8000 1\ntcp 9000 syn"
	for name, c := range map[string]struct {
		args string
		from string
		want string
	}{
		"IPv4":       {"-d 20 10.7.0.2 7000 8000:udp 9000:tcp", nettest.Client4, mixed},
		"IPv6":       {"-d 20 fd07::2 7000 8000:udp 9000:tcp", nettest.Client6, mixed},
		"all UDP":    {"-d 20 -u 10.7.0.2 7000:tcp 8000", nettest.Client4, "udp 7000 1\nudp 8000 1"},
		"no pause":   {"-d 0 10.7.0.2 1 2 3", nettest.Client4, "tcp 1 syn\ntcp 2 syn\ntcp 3 syn"},
		"same port":  {"-d 20 10.7.0.2 5 5 5", nettest.Client4, "tcp 5 syn\ntcp 5 syn\ntcp 5 syn"},
		"flags":      {"-d 20 --flags syn,ack 10.7.0.2 1 2:udp 3", nettest.Client4, "tcp 1 syn,ack\nudp 2 1\ntcp 3 syn,ack"},
		"flags IPv6": {"-d 20 --flags fin,psh,urg fd07::2 1 3", nettest.Client6, "tcp 1 fin,psh,urg\ntcp 3 fin,psh,urg"},
		// A repeated SYN would come a second after the first.
		"long pause":      {"-d 1300 10.7.0.2 7000 8000", nettest.Client4, "tcp 7000 syn\ntcp 8000 syn"},
		"long pause IPv6": {"-d 1.3s fd07::2 7000 8000", nettest.Client6, "tcp 7000 syn\ntcp 8000 syn"},
	} {
		for _, server := range []string{"silent", "refusing"} {
			t.Run(name+" "+server, func(t *testing.T) {
				t.Parallel()
				cli, srv := nettest.Pair(t)
				if server == "silent" {
					drop(t, srv)
				}
				tap := newTap(t, srv)
				got := knockOn(t, cli, strings.Fields(c.args)...)
				if got.code != 0 || got.stdout != "" || got.stderr != "" {
					t.Errorf("%+v", got)
				}
				if lines := tap.from(c.from); lines != c.want {
					t.Errorf("sent:\n%s\nwant:\n%s", lines, c.want)
				}
			})
		}
	}
}

// TestKnockAtOpenPort: the answer is turned down, nothing else is sent.
func TestKnockAtOpenPort(t *testing.T) {
	cli, srv := nettest.Pair(t)
	srv.EchoTCP(nettest.Server4 + ":7000")
	tap := newTap(t, srv)
	knockOn(t, cli, "-d", "100", nettest.Server4, "7000", "8000")
	lines := tap.from(nettest.Client4)
	// Depending on how quick the answer is, it meets a closed socket (RST) or
	// an open one (ACK and FIN, in one segment or two).
	if n := strings.Count(lines, "syn"); n != 2 || !strings.HasPrefix(lines, "tcp 7000 syn\n") ||
		strings.Contains(lines, "psh") || !strings.HasSuffix(lines, "tcp 8000 syn") {
		t.Errorf("sent:\n%s", lines)
	}
}

// TestSourceAndInterface: the packets leave where they are told to.
func TestSourceAndInterface(t *testing.T) {
	cli, srv := nettest.Pair(t)
	cli.AddAddress("eth0", "10.7.0.77/24")
	cli.AddAddress("eth0", "fd07::77/64")
	nettest.Join(nettest.Cable{Host: cli, Interface: "eth1"}, nettest.Cable{Host: srv, Interface: "eth1"})
	cli.Run("ip", "route", "add", "default", "dev", "eth1")
	for _, c := range []struct{ args, from, want string }{
		{"-d 0 --source 10.7.0.77 10.7.0.2 1 2:udp", "10.7.0.77", "tcp 1 syn\nudp 2 1"},
		{"-d 0 --source fd07::77 --flags fin fd07::2 1 2:udp", "fd07::77", "tcp 1 fin\nudp 2 1"},
		{"-d 0 --interface eth0 10.7.0.2 1 2:udp", nettest.Client4, "tcp 1 syn\nudp 2 1"},
		{"-d 0 --interface eth0 --flags rst 10.7.0.2 1", nettest.Client4, "tcp 1 rst"},
	} {
		tap := newTap(t, srv)
		if got := knockOn(t, cli, strings.Fields(c.args)...); got.code != 0 || got.stderr != "" {
			t.Errorf("%s: %+v", c.args, got)
		}
		if lines := tap.from(c.from); lines != c.want {
			t.Errorf("%s sent:\n%s\nwant:\n%s", c.args, lines, c.want)
		}
	}
}
