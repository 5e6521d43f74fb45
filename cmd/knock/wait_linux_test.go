package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// door is a host whose TCP port 22 is shut until somebody opens it.
type door struct {
	*nettest.Host
	t *testing.T
}

// shut shuts the port: what comes meets the nft statement.
func shut(t *testing.T, h *nettest.Host, statement string) door {
	t.Helper()
	h.EchoTCP("[::]:22")
	return shutPort(t, h, statement)
}

// shutPort is shut for a host that has a service there already.
func shutPort(t *testing.T, h *nettest.Host, statement string) door {
	t.Helper()
	nettest.NeedProgram(t, "nft")
	h.Run("nft", "add table inet door; add set inet door open { type inet_service; };"+
		" add chain inet door in { type filter hook input priority 0; };"+
		" add rule inet door in tcp dport @open accept; add rule inet door in tcp dport 22 "+statement)
	return door{h, t}
}

// openOn opens the door once the tap of the server has seen a line.
func (d door) openOn(p *tap, line string, delay time.Duration) {
	go func() {
		for {
			p.mu.Lock()
			seen := strings.Contains(strings.Join(p.lines, "\n"), line)
			p.mu.Unlock()
			if seen {
				break
			}
			select {
			case <-p.done:
				return
			case <-time.After(time.Millisecond):
			}
		}
		time.Sleep(delay)
		d.Try("nft", "add element inet door open { 22 }")
	}()
}

// TestWait: doors that open at once, late, and never, before servers of each
// kind.
func TestWait(t *testing.T) {
	for _, host := range []string{nettest.Server4, nettest.Server6} {
		for _, statement := range []string{"drop", "reject with tcp reset", "reject", "reject with icmpx type admin-prohibited"} {
			for _, delay := range []time.Duration{0, 600 * time.Millisecond} {
				t.Run(fmt.Sprint(host, " ", statement, " ", delay), func(t *testing.T) {
					t.Parallel()
					cli, srv := nettest.Pair(t)
					door := shut(t, srv, statement)
					tap := newTap(t, srv)
					door.openOn(tap, "tcp 9000 syn", delay)
					got := knockOn(t, cli, "-w", "tcp/22", host, "7000", "8000:udp", "9000")
					if got.code != 0 || got.stdout != "" || got.stderr != "" {
						t.Errorf("%+v", got)
					}
				})
			}
		}
	}
}

// TestWaitInVain: what the server answers is told apart.
func TestWaitInVain(t *testing.T) {
	for statement, want := range map[string]string{
		"drop":                  "no answer\nknock: hint: check the sequence and the address; a slower pace (-d 500) or a longer --timeout may help\n",
		"reject with tcp reset": "refused\nknock: hint: the host answers: check the sequence and that the service runs; a slower pace (-d 500) may help\n",
		"reject":                "refused\nknock: hint: the host answers: check the sequence and that the service runs; a slower pace (-d 500) may help\n",
		"reject with icmpx type host-unreachable": "unreachable\nknock: hint: a router or firewall turns the packets back: check the address and the network\n",
	} {
		for _, host := range []string{nettest.Server4, nettest.Server6} {
			if strings.Contains(statement, "host-unr") && host == nettest.Server6 {
				continue // ICMPv6 "address unreachable" is only taken note of (RFC 1122, 4.2.3.9, soft errors)
			}
			t.Run(host+" "+statement, func(t *testing.T) {
				t.Parallel()
				cli, srv := nettest.Pair(t)
				shut(t, srv, statement)
				got := knockOn(t, cli, "-w", "22", "--timeout", "2.5s", host, "7000")
				if text := "knock: tcp/22 at " + host + " did not open within 2.5s: " + want; got.code != 3 || got.stderr != text || got.stdout != "" {
					t.Errorf("%+v\nwant %s", got, text)
				}
			})
		}
	}
}

// TestWaitWithoutNeighbour: nobody has the address.
func TestWaitWithoutNeighbour(t *testing.T) {
	t.Parallel()
	cli, _ := nettest.Pair(t)
	got := knockOn(t, cli, "-w", "22", "--timeout", "4", "10.7.0.99", "7000")
	if got.code != 3 || !strings.HasPrefix(got.stderr, "knock: tcp/22 at 10.7.0.99 did not open within 4s: ") {
		t.Errorf("%+v", got)
	}
}

// TestRepeats looks at what is sent while the door stays shut: odd repeats
// begin with the first knock twice, and no knock falls between two probes of
// one try.
func TestRepeats(t *testing.T) {
	t.Parallel()
	cli, srv := nettest.Pair(t)
	shut(t, srv, "drop")
	tap := newTap(t, srv)
	got := knockOn(t, cli, "-v", "-d", "10", "-w", "22", "--timeout", "4.8", "--retry", "3", nettest.Server4, "1", "2:udp", "3")
	if got.code != 3 {
		t.Errorf("%+v", got)
	}
	var order []string
	for line := range strings.Lines(tap.from(nettest.Client4)) {
		word := strings.Fields(line)[1]
		if len(order) == 0 || word != "22" || order[len(order)-1] != "22" {
			order = append(order, word)
		}
	}
	const want = "1 2 3 22 1 1 2 3 22 1 2 3 22 1 1 2 3 22"
	if got := strings.Join(order, " "); got != want {
		t.Errorf("sent to ports %s\nwant %s", got, want)
	}
	const said = "hitting tcp 10.7.0.2:1\nhitting udp 10.7.0.2:2\nhitting tcp 10.7.0.2:3\nstill shut: knocking again (1)\nhitting tcp 10.7.0.2:1\nhitting tcp 10.7.0.2:1\n"
	if !strings.HasPrefix(got.stdout, said) {
		t.Errorf("said %q", got.stdout)
	}
}

// TestOneConnection: the server accepts one connection, although attempts are
// made on and on, and the SYNs of earlier ones are repeated.
func TestOneConnection(t *testing.T) {
	for _, delay := range []time.Duration{0, 700, 970, 1010, 1230, 2100} {
		t.Run(fmt.Sprint(int(delay)), func(t *testing.T) {
			t.Parallel()
			cli, srv := nettest.Pair(t)
			door := shutPort(t, srv, "drop")
			accepted := make(chan string, 100)
			listen(t, srv, nettest.Server4+":22", func(c net.Conn) {
				accepted <- c.RemoteAddr().String()
				c.Close()
			})
			tap := newTap(t, srv)
			door.openOn(tap, "tcp 7000 syn", delay*time.Millisecond)
			if got := knockOn(t, cli, "-w", "22", nettest.Server4, "7000"); got.code != 0 {
				t.Fatalf("%+v", got)
			}
			time.Sleep(300 * time.Millisecond)
			if n := len(accepted); n != 1 {
				t.Errorf("%d connections accepted", n)
			}
		})
	}
}

// onceRules let one connection in for each knock, as how-tos for iptables do.
const onceRules = `iptables -w -N K; iptables -w -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT; iptables -w -A INPUT -j K
iptables -w -A K -p tcp --dport 22 -m recent --rcheck --seconds 30 --name NAME -m recent --remove --name NAME -j ACCEPT
iptables -w -A K -p tcp --dport 1111 -m recent --set --name NAME -j DROP; iptables -w -A K -j DROP`

// TestDoorForOneConnection: --wait uses up such a door, and knock proxy gets
// through it, as the manual says.
func TestDoorForOneConnection(t *testing.T) {
	t.Parallel()
	nettest.NeedProgram(t, "iptables")
	cli, srv := nettest.Pair(t)
	listen(t, srv, nettest.Server4+":22", func(c net.Conn) {
		c.Write([]byte("SSH-2.0-x\r\n"))
		c.Close()
	})
	srv.Run("sh", "-c", strings.ReplaceAll(onceRules, "NAME", fmt.Sprint("once", os.Getpid())))
	if got := knockOn(t, cli, "-w", "tcp/22", nettest.Server4, "1111"); got.code != 0 {
		t.Fatalf("--wait: %+v", got)
	}
	if cli.Reaches(nettest.Server4+":22", time.Second) {
		t.Error("open for a second connection: nothing is shown")
	}
	files := home(t, map[string]string{".config/knock/config": "[door]\nhost = " + nettest.Server4 + "\nsequence = 1111\n"})
	if got := knockAt(t, cli, files, "proxy", "door", "22"); got.code != 0 || got.stdout != "SSH-2.0-x\r\n" {
		t.Errorf("proxy: %+v", got)
	}
}

// listen serves connections on an address of a host.
func listen(t *testing.T, h *nettest.Host, address string, serve func(net.Conn)) {
	t.Helper()
	var l net.Listener
	err := h.Do(func() (err error) {
		l, err = net.Listen("tcp4", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
}

// TestBoth knocks at both families, and waits for the first that opens.
func TestBoth(t *testing.T) {
	t.Parallel()
	cli, srv := nettest.Pair(t)
	shut(t, srv, "drop")
	srv.Run("nft", "insert rule inet door in meta nfproto ipv6 tcp dport 22 accept")
	tap := newTap(t, srv)
	hosts := filepath.Join(t.TempDir(), "hosts")
	os.WriteFile(hosts, []byte("10.7.0.2 server\nfd07::2 server\n"), 0o644)
	cmd := command(context.Background(), "-v", "--both", "-w", "22", "server", "1", "2")
	got := finish(t, cli, withHosts(t, cmd, hosts))
	if got.code != 0 || !strings.Contains(got.stdout, "tcp [fd07::2]:22 open after") {
		t.Errorf("%+v", got)
	}
	for _, from := range []string{nettest.Client4, nettest.Client6} {
		if lines := tap.from(from); !strings.HasPrefix(lines, "tcp 1 syn\ntcp 2 syn") {
			t.Errorf("%s sent:\n%s", from, lines)
		}
	}
}

// withHosts runs a command with another /etc/hosts.
func withHosts(t *testing.T, cmd *exec.Cmd, hosts string) *exec.Cmd {
	t.Helper()
	return withFiles(t, cmd, hosts, "/etc/hosts")
}

// withFiles runs a command with other files in the place of the machine's:
// pairs of the one and the other.
func withFiles(t *testing.T, cmd *exec.Cmd, pairs ...string) *exec.Cmd {
	t.Helper()
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "unshare", "mount")
	path := cmd.Path
	if path == "/proc/self/exe" {
		path = self(t)
	}
	const script = `while [ "$1" != -- ]; do mount --bind "$1" "$2" && shift 2 || exit 99; done; shift; exec "$@"`
	args := append(append([]string{"-m", "sh", "-c", script, "sh"}, pairs...), "--", path)
	wrapped := exec.Command("unshare", append(args, cmd.Args[1:]...)...)
	wrapped.Env, wrapped.Dir, wrapped.Stdin = cmd.Env, cmd.Dir, cmd.Stdin
	return wrapped
}

// TestJSON: one object, for machines.
func TestJSON(t *testing.T) {
	t.Parallel()
	cli, srv := nettest.Pair(t)
	srv.EchoTCP(nettest.Server4 + ":22")
	for args, want := range map[string]summary{
		"--json 10.7.0.2 1 2:udp":      {Hits: 2},
		"--json -v 10.7.0.2 1 2:udp":   {Hits: 2, Sequence: []string{"1:tcp", "2:udp"}},
		"--json -w 22 10.7.0.2 1":      {Hits: 1, Wait: "tcp/22", Open: new(bool)},
		"--json --dry-run 10.7.0.2 1:": {DryRun: true, Sequence: []string{"1:tcp"}},
		"--json -6 10.7.0.2 1":         {Status: 2, Error: "10.7.0.2 is not an IPv6 address", Hint: "leave out -4 and -6, or name another address"},
		"--json 10.7.0.2 66666":        {Status: 1, Error: "port 66666: must be between 1 and 65535", Hint: portHint},
	} {
		got := knockOn(t, cli, strings.Fields(args)...)
		var o summary
		if err := json.Unmarshal([]byte(got.stdout), &o); err != nil || got.stderr != "" || got.code != o.Status {
			t.Errorf("%s: %v %+v", args, err, got)
			continue
		}
		if want.Open != nil {
			if *want.Open = true; o.Open == nil || !*o.Open || o.Seconds <= 0 || o.Seconds > 10 {
				t.Errorf("%s: %s", args, got.stdout)
			}
			o.Open, o.Seconds = want.Open, 0
		}
		if want.Status == 0 {
			want.Host = "10.7.0.2"
			if len(o.Addresses) != 1 || o.Addresses[0].String() != "10.7.0.2" {
				t.Errorf("%s: %s", args, got.stdout)
			}
		}
		o.Addresses = nil
		if fmt.Sprintf("%+v", o) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s: %+v\nwant %+v", args, o, want)
		}
	}
}
