package livetest

import (
	"strings"
	"syscall"
	"testing"

	"knockd/internal/nettest"
)

const failingDoors = `
[options]
	interface = eth0
	LOGFAILURES
[ssh]
	sequence = 7000,9000,8000
	tcpflags = syn
	start_command = true
[guest]
	sequence = 7100:udp,9100:udp
	strict = yes
	start_command = true
`

// TestLogFailures: with LogFailures the log says why an attempt failed, and
// names no port of a sequence; without it -v alone says so; by default nobody
// does.
func TestLogFailures(t *testing.T) {
	t.Parallel()
	const (
		order  = "10.7.0.1: ssh: attempt failed after stage 1: hit a port of ssh out of order"
		other  = "10.7.0.1: ssh: attempt failed after stage 2: hit a port of guest"
		strict = "10.7.0.1: guest: attempt failed after stage 1: hit udp/7777, and the door is strict"
	)
	fail := func(client *nettest.Host) {
		knock(t, client, nettest.Server4, "7000", "8000", "7000", "9000", "7100:udp")
		knock(t, client, nettest.Server4, "7100:udp", "7777:udp")
	}
	for _, tt := range []struct {
		name, option string
		args         []string
		log, output  bool
	}{
		{name: "default"},
		{name: "verbose", args: []string{"-v"}, output: true},
		{name: "logged", option: "LogFailures = yes", log: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, server := nettest.Pair(t)
			d := start(t, server, strings.Replace(failingDoors, "LOGFAILURES", tt.option, 1), tt.args...)
			fail(client)
			knock(t, client, nettest.Server4, "7000", "9000", "8000")
			d.waitFor("OPEN SESAME", 1)
			d.stop(syscall.SIGTERM)
			for _, line := range []string{order, other, strict} {
				if got := strings.Contains(d.text(), line); got != tt.log {
					t.Errorf("%q in the log: %v", line, got)
				}
				if got := strings.Contains(d.output.String(), line); got != tt.output {
					t.Errorf("%q in the output: %v", line, got)
				}
			}
		})
	}
}

// TestDebugSaysWhy: -D shows packets with other flags than a door asks for, and
// says that these are why nothing happens.
func TestDebugSaysWhy(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	d := start(t, server, "[options]\ninterface = eth0\n[ssh]\nsequence = 7000,9000\ntcpflags = syn,ack\nstart_command = true\n", "-D")
	knock(t, client, nettest.Server4, "7000")
	nettest.Eventually(t, "the packet and its verdict", func() bool {
		_, after, found := strings.Cut(d.output.String(), "-> "+nettest.Server4+":7000 0 bytes [syn]")
		return found && strings.Contains(after, "not the flags that are asked for")
	})
}
