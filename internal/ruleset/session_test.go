package ruleset

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// backEnd is one way to put doors into a kernel.
type backEnd struct {
	name string
	load func(l *lab, doors []*Door, opt Options)
	// open reports whether a list of those let in has the address.
	lists func(l *lab) string
}

// backEnds are all there are.
func backEnds() []backEnd {
	out := []backEnd{{"nftables", (*lab).loadNft, func(l *lab) string {
		return l.server.Run("nft", "list", "table", "inet", Table)
	}}}
	for _, flavour := range []string{"nft", "legacy"} {
		out = append(out, backEnd{"iptables-" + flavour,
			func(l *lab, doors []*Door, opt Options) { l.loadIptables(flavour, doors, opt) },
			func(l *lab) string {
				return l.server.Run("sh", "-c", "cd /proc/net/xt_recent && grep -H . * || true")
			}})
	}
	return out
}

// eachBackEnd runs a test with every back end, side by side.
func eachBackEnd(t *testing.T, f func(t *testing.T, l *lab, b backEnd)) {
	for _, b := range backEnds() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			if flavour, ok := strings.CutPrefix(b.name, "iptables-"); ok {
				nettest.NeedProgram(t, "iptables-"+flavour+"-restore")
			}
			f(t, newLab(t), b)
		})
	}
}

// doorsOf compiles a configuration.
func doorsOf(t *testing.T, text string) []*Door {
	t.Helper()
	c, err := config.Parse("knockd.conf", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	doors, _, err := FromConfig(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return doors
}

// knock sends SYNs (or with "/udp" datagrams) from the client's address.
func (l *lab) knock(dst string, ports ...string) {
	l.knockFrom(l.own(dst), dst, ports...)
}

// own is the client's address of the family of dst.
func (l *lab) own(dst string) string {
	if strings.Contains(dst, ":") {
		return nettest.Client6
	}
	return nettest.Client4
}

func (l *lab) knockFrom(src, dst string, ports ...string) {
	for _, p := range ports {
		l.used++
		h := knock.Hit{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), Proto: knock.TCP, Flags: knock.SYN, SrcPort: uint16(2000 + l.used%60000), Seq: l.used}
		if rest, ok := strings.CutSuffix(p, "/udp"); ok {
			h.Proto, h.Flags, h.Seq, p = knock.UDP, 0, 0, rest
		}
		fmt.Sscan(p, &h.DstPort)
		l.send(h)
	}
}

// reaches reports whether the client gets through to a port of the server.
func (l *lab) reaches(dst string, port int) bool {
	return l.client.Reaches(net.JoinHostPort(dst, fmt.Sprint(port)), 700*time.Millisecond)
}

// expect fails the test if a port is reachable and must not be, or not and must.
func (l *lab) expect(t *testing.T, dst string, port int, want bool, when string) {
	t.Helper()
	got := l.reaches(dst, port)
	for deadline := time.Now().Add(5 * time.Second); want && !got && time.Now().Before(deadline); {
		got = l.reaches(dst, port) // a busy machine answers late
	}
	if got != want {
		t.Errorf("%s: %s port %d reachable: %v, want %v", when, dst, port, got, want)
	}
}

// TestWikiSession is the session of the Arch wiki's page, word by word.
func TestWikiSession(t *testing.T) {
	nettest.NeedProgram(t, "nmap")
	seconds := 5
	if long() {
		seconds = 30
	}
	src, err := os.ReadFile("testdata/wiki.conf")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(src), "cmd_timeout   = 30", fmt.Sprintf("cmd_timeout = %d", seconds), 1)
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		l.server.EchoTCP(nettest.Server4 + ":22")
		l.server.EchoTCP(nettest.Server4 + ":80")
		b.load(l, doorsOf(t, text), Options{})
		l.expect(t, nettest.Server4, 22, false, "before")
		l.expect(t, nettest.Server4, 80, true, "another service")
		script := filepath.Join(l.dir, "knock.sh")
		if err := os.WriteFile(script, []byte(wikiScript), 0o700); err != nil {
			t.Fatal(err)
		}
		l.client.Run("bash", script, nettest.Server4, "8881", "7777", "9991")
		opened := time.Now()
		l.expect(t, nettest.Server4, 22, true, "after the knocks")
		if lists := b.lists(l); !strings.Contains(lists, nettest.Client4) || !strings.Contains(lists, "SSH2") && b.name != "nftables" {
			t.Errorf("the lists: %s", lists)
		}
		time.Sleep(time.Until(opened.Add(time.Duration(seconds+2) * time.Second)))
		l.expect(t, nettest.Server4, 22, false, "after cmd_timeout")
		l.knock(nettest.Server4, "9991")
		l.expect(t, nettest.Server4, 22, false, "the last port alone")
	})
}

// wikiScript knocks as the page does; -n because these hosts have no DNS.
const wikiScript = `#!/bin/bash
HOST=$1
shift
for ARG in "$@"
do
	nmap -n -Pn --host-timeout 201 --max-retries 0 -p $ARG $HOST
done
`

const openClose = `
[open]
	sequence    = 7000,8000:udp,9000,7100
	tcpflags    = syn
	open        = tcp/22, udp/53
	cmd_timeout = 600
[shut]
	sequence = 7100,9000,8000:udp,7000
	tcpflags = syn
	close    = open
`

// TestOpenAndClose: one door opens, another ends it, a connection that was
// made meanwhile goes on; IPv4 and IPv6.
func TestOpenAndClose(t *testing.T) {
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		b.load(l, doorsOf(t, openClose), Options{})
		for _, dst := range []string{nettest.Server4, nettest.Server6} {
			l.server.EchoTCP(net.JoinHostPort(dst, "22"))
			l.expect(t, dst, 22, false, "before")
			l.knock(dst, "7000", "8000/udp", "9000", "7100")
			l.expect(t, dst, 22, true, "open")
			conn, err := l.client.Dial("tcp", net.JoinHostPort(dst, "22"), 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			l.knock(dst, "7100", "9000", "8000/udp", "7000")
			l.expect(t, dst, 22, false, "closed")
			nettest.MustEcho(t, conn)
		}
	})
}

// TestOldSession: a session that is older than the ruleset, and so unknown to
// connection tracking, goes on when its client types first; no new one begins.
func TestOldSession(t *testing.T) {
	const text = "[ssh]\nsequence=7000,7001,7002,7003\nopen=tcp/22\ncmd_timeout=60\n"
	for name, opt := range map[string]Options{"input": {}, "prerouting": {Prerouting: true}, "observe": {Observe: true}} {
		t.Run(name, func(t *testing.T) {
			eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
				var sessions []net.Conn
				for _, dst := range []string{nettest.Server4, nettest.Server6} {
					conn, err := l.client.Dial("tcp", l.server.EchoTCP(net.JoinHostPort(dst, "22")), 5*time.Second)
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					sessions = append(sessions, conn)
				}
				b.load(l, doorsOf(t, text), opt)
				for i, dst := range []string{nettest.Server4, nettest.Server6} {
					nettest.MustEcho(t, sessions[i])
					l.expect(t, dst, 22, false, "a new one")
				}
			})
		})
	}
}

// TestReloadKeepsOpenDoors: loaded again, also with another sequence, the
// ruleset lets in whom it let in before, and attempts begin anew.
func TestReloadKeepsOpenDoors(t *testing.T) {
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		l.server.EchoTCP(nettest.Server4 + ":22")
		b.load(l, doorsOf(t, openClose), Options{})
		l.knock(nettest.Server4, "7000", "8000/udp", "9000", "7100")
		l.expect(t, nettest.Server4, 22, true, "open")
		b.load(l, doorsOf(t, openClose), Options{})
		l.expect(t, nettest.Server4, 22, true, "loaded again")
		b.load(l, doorsOf(t, strings.Replace(openClose, "9000,7100", "9000,7200", 1)), Options{})
		l.expect(t, nettest.Server4, 22, true, "loaded with another sequence")
		if !strings.Contains(b.lists(l), nettest.Client4) {
			t.Error("the list of those let in is empty")
		}
	})
}

// TestOpenPrefix: what is around the knocker is opened, no more.
func TestOpenPrefix(t *testing.T) {
	const text = "[ssh]\nsequence=7000,7001,7002,7003\nopen=tcp/22\ncmd_timeout=60\nopen_prefix_4=24\nopen_prefix_6=64\n"
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		b.load(l, doorsOf(t, text), Options{})
		for _, c := range []struct{ dst, near, far string }{
			{nettest.Server4, "10.7.0.77", "10.8.0.1"}, {nettest.Server6, "fd07::77", "fd08::1"},
		} {
			l.server.EchoTCP(net.JoinHostPort(c.dst, "22"))
			l.knockFrom(c.far, c.dst, "7000", "7001", "7002", "7003")
			l.expect(t, c.dst, 22, false, "opened for "+c.far)
			l.knockFrom(c.near, c.dst, "7000", "7001", "7002", "7003")
			l.expect(t, c.dst, 22, true, "opened for "+c.near)
		}
	})
}

// TestObserve: knock ports answer as they would without the ruleset, the shut
// door as a closed port; knocking works.
func TestObserve(t *testing.T) {
	const text = "[ssh]\nsequence=7000,8080,7002,7003\nopen=tcp/22\ncmd_timeout=60\n"
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		l.server.EchoTCP(nettest.Server4 + ":22")
		l.server.EchoTCP(nettest.Server4 + ":8080")
		b.load(l, doorsOf(t, text), Options{})
		l.expect(t, nettest.Server4, 8080, false, "a service on a knock port")
		b.load(l, doorsOf(t, text), Options{Live: []knock.Step{{Proto: knock.TCP, Port: 8080}}})
		l.expect(t, nettest.Server4, 8080, true, "the same, known to live")
		b.load(l, doorsOf(t, text), Options{Observe: true})
		for _, port := range []string{"7002", "22"} {
			if _, err := l.client.Dial("tcp", nettest.Server4+":"+port, 5*time.Second); err == nil || !strings.Contains(err.Error(), "refused") {
				t.Errorf("port %s: %v", port, err)
			}
		}
		l.knock(nettest.Server4, "7000", "8080", "7002", "7003")
		l.expect(t, nettest.Server4, 22, true, "open")
	})
}

// TestPrerouting: a port that destination NAT leads to another host.
func TestPrerouting(t *testing.T) {
	const text = "[ssh]\nsequence=7000,7001,7002,7003\nopen=tcp/2022\ncmd_timeout=60\n"
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		inner := nettest.NewHost(t, "inner")
		nettest.Join(nettest.Cable{Host: l.server, Interface: "in0", Addresses: []string{"10.77.0.1/24"}},
			nettest.Cable{Host: inner, Interface: "eth0", Addresses: []string{"10.77.0.2/24"}})
		inner.Run("ip", "route", "add", "default", "via", "10.77.0.1")
		if err := l.server.Sysctl("net/ipv4/ip_forward", "1"); err != nil {
			t.Skip(err)
		}
		inner.EchoTCP("10.77.0.2:22")
		l.load("nft", []byte("table ip nat { chain pre { type nat hook prerouting priority dstnat; tcp dport 2022 dnat to 10.77.0.2:22; }; }\n"), "-f")
		l.expect(t, nettest.Server4, 2022, true, "without a ruleset")
		b.load(l, doorsOf(t, text), Options{Prerouting: true})
		l.expect(t, nettest.Server4, 2022, false, "before")
		l.knock(nettest.Server4, "7000", "7001", "7002", "7003")
		l.expect(t, nettest.Server4, 2022, true, "open")
	})
}

// TestAllowDeny: others' knocks do not exist, and are dropped all the same.
func TestAllowDeny(t *testing.T) {
	const text = "[ssh]\nsequence=7000,7001,7002,7003\nopen=tcp/22\ncmd_timeout=60\nopen_prefix_4=8\nallow=10.99.0.0/16\ndeny=10.99.3.0/24\n"
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		l.server.EchoTCP(nettest.Server4 + ":22")
		b.load(l, doorsOf(t, text), Options{})
		for _, src := range []string{nettest.Client4, "10.98.0.1", "10.99.3.4"} {
			l.knockFrom(src, nettest.Server4, "7000", "7001", "7002", "7003")
			l.expect(t, nettest.Server4, 22, false, "from "+src)
		}
		l.expect(t, nettest.Server4, 7000, false, "a knock port")
		l.knockFrom("10.99.4.1", nettest.Server4, "7000", "7001", "7002", "7003")
		l.expect(t, nettest.Server4, 22, true, "from an allowed address")
	})
}

// TestStrictAndForgive: strays fail an attempt at a strict door only, except
// the ignored ones; a knock done twice fails none at a door that forgives.
func TestStrictAndForgive(t *testing.T) {
	const text = "[strict]\nsequence=7000,8000:udp,9000,7100\nstrict=yes\nstrict_ignore=tcp/443,udp/500\nopen=tcp/22\ncmd_timeout=60\n" +
		"[easy]\nsequence=7000,8000:udp,9000,7100\ntcpflags=syn,!ack\nrepeats=forgive\nopen=tcp/23\ncmd_timeout=60\n"
	for _, c := range []struct {
		knocks       string
		strict, easy bool
	}{
		{"7000 8000/udp 9000 7100", true, true},
		{"7000 8000/udp 5000 9000 7100", false, true},
		{"7000 5000/udp 8000/udp 9000 7100", false, true},
		{"7000 8000/udp 443 500/udp 9000 7100", true, true},
		{"5000 7000 8000/udp 9000 7100", true, true},
		{"7000 7000 8000/udp 8000/udp 9000 9000 7100", false, true},
		{"7000 8000/udp 7000 9000 7100", false, false},
	} {
		t.Run(c.knocks, func(t *testing.T) {
			eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
				l.server.EchoTCP(nettest.Server4 + ":22")
				l.server.EchoTCP(nettest.Server4 + ":23")
				b.load(l, doorsOf(t, text), Options{})
				l.knock(nettest.Server4, strings.Fields(c.knocks)...)
				l.expect(t, nettest.Server4, 22, c.strict, "strict")
				l.expect(t, nettest.Server4, 23, c.easy, "not strict")
			})
		})
	}
}

// TestInterfaces: knocks on another interface than those listened on do not
// count, and the ports are shut on all.
func TestInterfaces(t *testing.T) {
	const text = "[ssh]\nsequence=7000,7001,7002,7003\nopen=tcp/22\ncmd_timeout=60\n"
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		l.server.EchoTCP(nettest.Server4 + ":22")
		b.load(l, doorsOf(t, text), Options{Interfaces: []string{"eth9"}})
		l.knock(nettest.Server4, "7000", "7001", "7002", "7003")
		l.expect(t, nettest.Server4, 22, false, "on another interface")
		b.load(l, doorsOf(t, text), Options{Interfaces: []string{"eth9", "eth0"}})
		l.knock(nettest.Server4, "7000", "7001", "7002", "7003")
		l.expect(t, nettest.Server4, 22, true, "on one of two")
	})
}

// TestNobodyAllowed: a door that nobody may knock at takes nothing from the
// others.
func TestNobodyAllowed(t *testing.T) {
	const text = "[ssh]\nsequence=7000,7001,7002,7003\nopen=tcp/22\ncmd_timeout=60\n" +
		"[none]\nsequence=7000,7001,7002,7003\nopen=tcp/23\ncmd_timeout=60\nallow=10.99.0.0/16\ndeny=10.0.0.0/8\n"
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		l.server.EchoTCP(nettest.Server4 + ":22")
		b.load(l, doorsOf(t, text), Options{})
		l.knock(nettest.Server4, "7000", "7001", "7002", "7003")
		l.expect(t, nettest.Server4, 22, true, "the door for everybody")
		l.expect(t, nettest.Server4, 23, false, "the door for nobody")
	})
}

// TestOpenOnInterface: what a start command opens on one interface stays shut
// on the others.
func TestOpenOnInterface(t *testing.T) {
	const text = "[ssh]\nsequence=7000,7001,7002,7003\nstart_command=iptables -A INPUT -i %s -s %%IP%% -p tcp --dport 22 -j ACCEPT\n"
	eachBackEnd(t, func(t *testing.T, l *lab, b backEnd) {
		l.server.EchoTCP(nettest.Server4 + ":22")
		for name, open := range map[string]bool{"eth9": false, "eth0": true, "eth+": true} {
			b.load(l, doorsOf(t, fmt.Sprintf(text, name)), Options{})
			l.knock(nettest.Server4, "7000", "7001", "7002", "7003")
			l.expect(t, nettest.Server4, 22, open, name)
		}
	})
}
