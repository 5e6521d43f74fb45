package livetest

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// wiki is the example that the users' wikis have, with the chain INPUT.
const wiki = `[options]
        logfile = LOG

[opencloseSSH]
        sequence      = 8881:tcp,7777:tcp,9991:tcp
        seq_timeout   = 15
        tcpflags      = syn,ack
        start_command = iptables -w -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
        cmd_timeout   = 3
        stop_command  = iptables -w -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
`

func TestWikiExample(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	d := start(t, server, wiki)
	shut(t, client, ssh4)
	hping(t, client, "-SA", nettest.Server4, "8881", "7777", "9991")
	opens(t, client, ssh4)
	d.waitFor("command timeout", 1)
	closes(t, client, ssh4)
	d.waitFor("running command: iptables -w -D", 1)
	want := `starting up, listening on eth0
10.7.0.1: opencloseSSH: Stage 1
10.7.0.1: opencloseSSH: Stage 2
10.7.0.1: opencloseSSH: Stage 3
10.7.0.1: opencloseSSH: OPEN SESAME
opencloseSSH: running command: iptables -w -I INPUT -s 10.7.0.1 -p tcp --dport 22 -j ACCEPT
10.7.0.1: opencloseSSH: command timeout
opencloseSSH: running command: iptables -w -D INPUT -s 10.7.0.1 -p tcp --dport 22 -j ACCEPT
`
	if got := d.text(); got != want {
		t.Errorf("log:\n%swant:\n%s", got, want)
	}
}

// TestWrongFlags: SYN without ACK is not what the wiki's door asks for, so
// Debian's knock cannot open it.
func TestWrongFlags(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	d := start(t, server, wiki)
	knock08(t, client, nettest.Server4, "8881", "7777", "9991")
	hping(t, client, "-SA", nettest.Server4, "8881")
	hping(t, client, "-S", nettest.Server4, "7777")
	hping(t, client, "-A", nettest.Server4, "9991")
	d.waitFor("Stage 1", 1)
	shut(t, client, ssh4)
	d.lacks("Stage 2")
	// What did not count did no harm either.
	hping(t, client, "-SA", nettest.Server4, "7777", "9991")
	opens(t, client, ssh4)
}

const manExample1 = `[options]
	logfile = LOG

[openSSH]
	sequence    = 7000,8000,9000
	seq_timeout = 10
	tcpflags    = syn
	command     = /sbin/iptables -A INPUT -s %IP% --dport 22 -j ACCEPT

[closeSSH]
	sequence    = 9000,8000,7000
	seq_timeout = 10
	tcpflags    = syn
	command     = /sbin/iptables -D INPUT -s %IP% --dport 22 -j ACCEPT
`

// TestManExample1Verbatim: --dport needs -p tcp, so iptables refuses.
func TestManExample1Verbatim(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	d := start(t, server, manExample1)
	knock08(t, client, nettest.Server4, "7000", "8000", "9000")
	d.waitFor("openSSH: command returned non-zero status code (2)", 1)
	shut(t, client, ssh4)
}

func TestManExample1Repaired(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	d := start(t, server, strings.ReplaceAll(manExample1, "%IP% --dport", "%IP% -p tcp --dport"))
	knock08(t, client, nettest.Server4, "7000", "8000", "9000")
	opens(t, client, ssh4)
	d.waitFor("10.7.0.1: openSSH: OPEN SESAME", 1)
	knock08(t, client, nettest.Server4, "9000", "8000", "7000")
	closes(t, client, ssh4)
	d.lacks("non-zero")
}

// TestManExample2: UDP and TCP mixed, SYN and ACK.
func TestManExample2(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	d := start(t, server, `[options]
	logfile = LOG

[opencloseSSH]
	sequence	 = 2222:udp,3333:tcp,4444:udp
	seq_timeout	 = 15
	tcpflags	 = syn,ack
	start_command = /usr/sbin/iptables -A INPUT -s %IP% -p tcp --syn -j ACCEPT
	cmd_timeout	 = 3
	stop_command	 = /usr/sbin/iptables -D INPUT -s %IP% -p tcp --syn -j ACCEPT
`)
	hping(t, client, "-SA", nettest.Server4, "2222:udp", "3333", "4444:udp")
	opens(t, client, ssh4)
	closes(t, client, ssh4)
	d.waitFor("10.7.0.1: opencloseSSH: command timeout", 1)
}

// sshDoor is a door whose commands are right for both families.
func sshDoor(name, sequence, rest string) string {
	return fmt.Sprintf(`[options]
	logfile = LOG
[%s]
	sequence = %s
	seq_timeout = 10
	start_command = iptables -w -I INPUT -s %%IP%% -p tcp --dport 22 -j ACCEPT
	start_command_6 = ip6tables -w -I INPUT -s %%IP%% -p tcp --dport 22 -j ACCEPT
	cmd_timeout = 1
	stop_command = iptables -w -D INPUT -s %%IP%% -p tcp --dport 22 -j ACCEPT
	stop_command_6 = ip6tables -w -D INPUT -s %%IP%% -p tcp --dport 22 -j ACCEPT
%s
`, name, sequence, rest)
}

// TestClientsAndFamilies: the usual doors with each client, IPv4 and IPv6.
func TestClientsAndFamilies(t *testing.T) {
	clients := map[string]func(testing.TB, *nettest.Host, ...string){"knock 0.8": knock08, "knock": knock}
	for name, knock := range clients {
		for _, c := range []struct{ what, sequence, flags string }{
			{"TCP", "7000,8000,9000", "tcpflags = syn"},
			{"UDP", "7000:udp,8000:udp,9000:udp", "tcpflags = syn"},
			{"mixed", "7000,8000:udp,7000,9000:udp", ""},
		} {
			t.Run(name+" "+c.what, func(t *testing.T) {
				t.Parallel()
				client, server := site(t)
				d := start(t, server, sshDoor("SSH", c.sequence, c.flags))
				steps := strings.Split(c.sequence, ",")
				knock(t, client, append([]string{nettest.Server4}, steps...)...)
				opens(t, client, ssh4)
				shut(t, client, ssh6)
				d.waitFor("10.7.0.1: SSH: OPEN SESAME", 1)
				closes(t, client, ssh4)
				knock(t, client, append([]string{"-6", nettest.Server6}, steps...)...)
				opens(t, client, ssh6)
				d.waitFor("fd07::1: SSH: OPEN SESAME", 1)
				closes(t, client, ssh6)
				d.waitFor("command timeout", 2)
			})
		}
	}
}

// TestNmap knocks as the wikis do it.
func TestNmap(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	nettest.NeedProgram(t, "nmap")
	d := start(t, server, sshDoor("SSH", "7000,8000,9000", "tcpflags = syn"))
	// Some versions of nmap know the option only with a hyphen.
	option := "--host_timeout"
	if out, _ := client.Try("nmap", option, "201", "-V"); strings.Contains(out, "unrecognized option") {
		option = "--host-timeout"
	}
	for _, port := range []string{"7000", "8000", "9000"} {
		// There is no name server to wait for: -n.
		client.Run("nmap", "-n", "-Pn", option, "201", "--max-retries", "0", "-p", port, nettest.Server4)
	}
	opens(t, client, ssh4)
	d.waitFor("OPEN SESAME", 1)
}

// TestWrongKnocks: none of these opens, and the right one afterwards does.
func TestWrongKnocks(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	d := start(t, server, strings.Replace(sshDoor("SSH", "7000,8000,9000", "tcpflags = syn"), "seq_timeout = 10", "seq_timeout = 2", 1))
	from, to := nettest.Client4, nettest.Server4
	syn(t, client, from, to, "7000", "8000", "8000", "9000")
	syn(t, client, from, to, "9000", "8000", "7000") // the last begins an attempt
	syn(t, client, from, to, "9000")                 // and this ends it
	syn(t, client, from, to, "7000:udp", "8000:udp", "9000:udp")
	syn(t, client, from, to, "7000", "8000")
	d.waitFor("Stage 2", 2)
	d.waitFor("10.7.0.1: SSH: sequence timeout (stage 2)", 1)
	syn(t, client, from, to, "9000") // too late
	shut(t, client, ssh4)
	d.lacks("OPEN SESAME")
	// A port that is nobody's does no harm.
	syn(t, client, from, to, "7000", "1234", "8000", "9001", "9000")
	opens(t, client, ssh4)
}

// TestTwoClients knock at the same time, each in its own way.
func TestTwoClients(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	const other = "10.7.0.3"
	client.AddAddress("eth0", other+"/24")
	d := start(t, server, sshDoor("SSH", "7000,8000,9000", "tcpflags = syn"))
	for _, k := range [][2]string{
		{nettest.Client4, "7000"}, {other, "7000"}, {other, "8000"}, {nettest.Client4, "8000"},
		{other, "7000"}, // a mistake
		{nettest.Client4, "9000"}, {other, "9000"},
	} {
		syn(t, client, k[0], nettest.Server4, k[1])
	}
	opens(t, client, ssh4)
	d.waitFor("10.7.0.1: SSH: OPEN SESAME", 1)
	d.lacks(other + ": SSH: OPEN SESAME")
	if out := server.Run("iptables", "-w", "-S", "INPUT"); strings.Contains(out, other) {
		t.Errorf("the wrong client got in:\n%s", out)
	}
	closes(t, client, ssh4)
	syn(t, client, other, nettest.Server4, "7000", "8000", "9000")
	d.waitFor(other+": SSH: OPEN SESAME", 1)
}

// TestTermClosesDoors: doors that are open when the daemon is told to end are
// closed before it does.
func TestTermClosesDoors(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			client, server := site(t)
			d := start(t, server, strings.Replace(sshDoor("SSH", "7000,8000", ""), "cmd_timeout = 1", "cmd_timeout = 3600", 1))
			syn(t, client, nettest.Client4, nettest.Server4, "7000", "8000")
			syn(t, client, nettest.Client6, nettest.Server6, "7000", "8000")
			opens(t, client, ssh4)
			opens(t, client, ssh6)
			if status := d.stop(signal); status != 0 {
				t.Errorf("exit status %d", status)
			}
			shut(t, client, ssh4)
			shut(t, client, ssh6)
			if text := d.text(); !strings.HasSuffix(text, "shutting down\n") {
				t.Errorf("the log ends otherwise:\n%s", text)
			}
		})
	}
}

// TestFirewallDropsEverything: a knock is seen although nothing gets in, not
// even what IPv6 needs to find its neighbour.
func TestFirewallDropsEverything(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	for _, tables := range []string{"iptables", "ip6tables"} {
		server.Run(tables, "-w", "-F", "INPUT")
	}
	mac := strings.TrimSpace(server.Run("sh", "-c", "ip link show eth0 | awk '/ether/{print $2}'"))
	client.Run("ip", "neigh", "replace", nettest.Server6, "lladdr", mac, "dev", "eth0")
	d := start(t, server, sshDoor("SSH", "7000,8000:udp", ""))
	syn(t, client, nettest.Client4, nettest.Server4, "7000", "8000:udp")
	d.waitFor("10.7.0.1: SSH: OPEN SESAME", 1)
	syn(t, client, nettest.Client6, nettest.Server6, "7000", "8000:udp")
	d.waitFor("fd07::1: SSH: OPEN SESAME", 1)
	d.lacks("non-zero")
}

// TestSlowClient keeps its sockets open, so that its kernel sends each SYN
// again and again between the knocks.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	client, server := site(t)
	d := start(t, server, strings.Replace(sshDoor("SSH", "7000,8000,9000", "tcpflags = syn"), "cmd_timeout = 1", "cmd_timeout = 60", 1))
	for _, port := range []string{"7000", "8000", "9000"} {
		go func() {
			if conn, err := client.Dial("tcp", net.JoinHostPort(nettest.Server4, port), 5*time.Second); err == nil {
				conn.Close()
			}
		}()
		time.Sleep(1300 * time.Millisecond) // the client's own slowness
	}
	opens(t, client, ssh4)
	time.Sleep(1500 * time.Millisecond) // repeats of all three
	if n := strings.Count(d.text(), "Stage"); n != 3 {
		t.Errorf("%d stages, want 3", n)
	}
}
