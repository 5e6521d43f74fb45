package main

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

// answers is a host's firewall that answers in many ways: 7001 and 8002 drop, 7002
// resets, 7003 and 8003 are prohibited, and what is forwarded to 7006 too.
const answers = `
table inet answers {
	chain in {
		type filter hook input priority filter;
		tcp dport 7001 drop
		tcp dport 7002 reject with tcp reset
		tcp dport 7003 reject with icmpx admin-prohibited
		udp dport 8002 drop
		udp dport 8003 reject with icmpx host-unreachable
	}
	chain forward {
		type filter hook forward priority filter;
		tcp dport 7006 reject with icmpx admin-prohibited
	}
}
`

// TestExplain: what --explain tells of packets that are dropped, reset, prohibited
// by the host or on the way, or answered.
func TestExplain(t *testing.T) {
	t.Parallel()
	client, server, _ := nettest.Site(t)
	client.Run("ip", "route", "add", "10.9.0.0/24", "via", nettest.Server4)
	client.Run("ip", "route", "add", "prohibit", "10.8.0.0/24")
	server.Load(answers)
	answerAt(t, server)
	nettest.Transcripts{
		Program: "knock",
		Run: func(t *testing.T, dir string, words []string) nettest.Session {
			got := knockAt(t, client, dir, words[1:]...)
			return nettest.Session{Stdout: got.stdout, Stderr: got.stderr, Code: got.code}
		},
		Mask: withoutTimes,
	}.Compare(t, "testdata/explain/*.txtar")
}

// answerAt has a host accept connections at 7005, and answer datagrams at 8005.
func answerAt(t *testing.T, h *nettest.Host) {
	t.Helper()
	err := h.Do(func() error {
		l, err := net.Listen("tcp", ":7005")
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		u, err := net.ListenPacket("udp", ":8005")
		if err != nil {
			return err
		}
		t.Cleanup(func() { u.Close() })
		go func() {
			buf := make([]byte, 100)
			for {
				_, from, err := u.ReadFrom(buf)
				if err != nil {
					return
				}
				u.WriteTo([]byte("hello"), from)
			}
		}()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	clockPattern   = regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}  |"time":"[^"]*"`)
	sourcePattern  = regexp.MustCompile(`((?:10\.7\.0\.1|\[fd07::1\]):)\d+`)
	elapsedPattern = regexp.MustCompile(`(after |within |"seconds":)[\d.]+( ms|ms|s|)`)
)

func withoutTimes(text string) string {
	text = clockPattern.ReplaceAllStringFunc(text, func(s string) string {
		if strings.HasPrefix(s, `"`) {
			return `"time":"TIME"`
		}
		return "TIME  "
	})
	return elapsedPattern.ReplaceAllString(sourcePattern.ReplaceAllString(text, "${1}PORT"), "${1}N")
}

// TestExplainSendsNoMore: on the wire there is the same with --explain as without,
// but that a connection which a port begins is reset at once.
func TestExplainSendsNoMore(t *testing.T) {
	t.Parallel()
	client, server := nettest.Pair(t)
	server.Load(answers)
	answerAt(t, server)
	seen := func(args ...string) string {
		t.Helper()
		wire := newTap(t, server)
		args = append(args, "-d", "0", nettest.Server4, "7001", "7002", "7003", "7004", "7005", "8001:udp", "8002:udp", "8005:udp")
		if got := knockOn(t, client, args...); got.code != 0 {
			t.Fatalf("%+v", got)
		}
		return wire.from(nettest.Client4)
	}
	plain, plain7005 := beside(seen(), "tcp 7005 ")
	explained, explained7005 := beside(seen("--explain"), "tcp 7005 ")
	if strings.Count(plain, "\n") != 6 || explained != plain {
		t.Errorf("with --explain\n%s\nwithout\n%s", explained, plain)
	}
	if explained7005 != "tcp 7005 rst\ntcp 7005 syn" && explained7005 != "tcp 7005 rst,ack\ntcp 7005 syn" {
		t.Errorf("the port that answers gets\n%s\nand without --explain\n%s", explained7005, plain7005)
	}
}

// beside returns lines in order, an answer comes when it comes, without those that
// begin so, and these.
func beside(text, prefix string) (others, these string) {
	lines := slices.Sorted(strings.SplitSeq(text, "\n"))
	begins := func(line string) bool { return strings.HasPrefix(line, prefix) }
	i := slices.IndexFunc(lines, begins)
	n := len(slices.DeleteFunc(slices.Clone(lines), begins))
	return strings.Join(slices.DeleteFunc(slices.Clone(lines), begins), "\n"), strings.Join(lines[i:i+len(lines)-n], "\n")
}
