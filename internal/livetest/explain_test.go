package livetest

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"knockd/internal/nettest"
)

// explainDoors are those of the stories; DIR is the directory of the socket.
const explainDoors = `[options]
	logfile = LOG
	ControlSocket = DIR/control
[ssh]
	sequence = 7000,8000,9000
	seq_timeout = 2
	tcpflags = syn,!ack
	open = tcp/22
	cmd_timeout = 30
[answers]
	sequence = 6100,6200
	seq_timeout = 2
	tcpflags = syn,ack
	command = true
[tight]
	sequence = 5100,5200
	seq_timeout = 5
	tcpflags = syn
	strict = yes
	command = true
[rare]
	sequence = 4100,4200
	seq_timeout = 5
	cooldown = 60
	command = true
[once]
	one_time_sequences = ONETIME
	seq_timeout = 5
	command = true
`

// explaining is "knockctl explain --live" at work.
type explaining struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout syncBuffer
	stderr syncBuffer
}

// explain explains what comes to a daemon's host from then on.
func (d *daemon) explain(t *testing.T, h *nettest.Host, args ...string) *explaining {
	t.Helper()
	e := &explaining{t: t}
	e.cmd = exec.Command(program(t, "knockctl"), append([]string{"explain", "--live", "-c", d.conf, "--socket", d.file("control")}, args...)...)
	e.cmd.Stdout, e.cmd.Stderr = &e.stdout, &e.stderr
	if err := h.Start(e.cmd); err != nil {
		t.Fatal(err)
	}
	nettest.Eventually(t, "knockctl watches", func() bool { return strings.Contains(e.stderr.String(), "knock now") })
	return e
}

// inexactTimes are those of a story that differ from run to run.
var inexactTimes = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}|\+\d+\.\d{3}|\b\d+(\.\d+)? (ms|s|min)\b`)

var numbers = regexp.MustCompile(`\d+(\.\d+)?`)

// end ends it as Ctrl-C does, and returns what was told without times.
func (e *explaining) end() string {
	e.t.Helper()
	time.Sleep(300 * time.Millisecond) // what was sent last has come by then
	e.cmd.Process.Signal(syscall.SIGINT)
	if err := e.cmd.Wait(); err != nil {
		e.t.Errorf("knockctl: %v\n%s", err, e.stderr.String())
	}
	text := e.stdout.String()
	secrets.check(e.t, "knockctl explain", text+e.stderr.String())
	return inexactTimes.ReplaceAllStringFunc(text, func(s string) string {
		return numbers.ReplaceAllString(strings.ReplaceAll(s, " ms", " s"), "N")
	})
}

// story is a knock that does not open, or does and is of no use.
type story struct {
	name   string
	before func(s *scene) // before anybody watches
	ask    string         // whose packets are asked for; "": the client's; "all"
	act    func(s *scene)
}

// scene is where a story happens.
type scene struct {
	t              *testing.T
	client, server *nettest.Host
	d              *daemon
	message        []byte
}

func (s *scene) knock(args ...string) {
	s.t.Helper()
	s.client.Run(program(s.t, "knock"), args...)
}

// connect tries a port of TCP, from an address.
func (s *scene) connect(from, to string) {
	_, _ = s.client.Try("nc", "-w", "1", "-s", from, to, "22")
}

// stories are the twelve.
var stories = []story{
	{name: "wrong order", act: func(s *scene) { s.knock(nettest.Server4, "7000", "9000", "8000") }},
	{name: "too slow", act: func(s *scene) {
		s.knock(nettest.Server4, "7000", "8000")
		time.Sleep(2500 * time.Millisecond)
		s.knock(nettest.Server4, "9000")
	}},
	{name: "flags that the door does not ask for", act: func(s *scene) { s.knock(nettest.Server4, "6100", "6200") }},
	{name: "an interface that knockd does not listen on", ask: "10.8.0.1", before: func(s *scene) {
		nettest.Join(nettest.Cable{Host: s.client, Interface: "eth1", Addresses: []string{"10.8.0.1/24"}},
			nettest.Cable{Host: s.server, Interface: "eth1", Addresses: []string{"10.8.0.2/24"}})
	}, act: func(s *scene) { s.knock("10.8.0.2", "7000", "8000", "9000") }},
	{name: "the address changes between knock and connection", ask: "all", before: func(s *scene) {
		s.client.AddAddress("eth0", "10.7.0.8/24")
	}, act: func(s *scene) {
		s.knock(nettest.Server4, "7000", "8000", "9000")
		s.d.waitFor("ssh: OPEN SESAME", 1)
		s.connect("10.7.0.8", nettest.Server4)
	}},
	{name: "dropped on the way", act: func(s *scene) {
		s.client.Run("iptables", "-w", "-A", "OUTPUT", "-p", "tcp", "-j", "DROP")
		_, _ = s.client.Try(program(s.t, "knock"), nettest.Server4, "7000", "8000", "9000")
	}},
	{name: "a step comes twice", act: func(s *scene) { s.knock(nettest.Server4, "7000", "7000", "8000", "9000") }},
	{name: "a scan in between", act: func(s *scene) { s.knock(nettest.Server4, "5100", "80", "443", "5200") }},
	{name: "a line that is used", before: func(s *scene) {
		s.knock(append([]string{nettest.Server4}, oneTimePorts()...)...)
		s.d.waitFor("once: OPEN SESAME", 1)
		nettest.Eventually(s.t, "the line is marked", func() bool { return strings.HasPrefix(nettest.Read(s.t, s.d.file("sequences")), "#") })
	}, act: func(s *scene) { s.knock(append([]string{nettest.Server4}, oneTimePorts()...)...) }},
	{name: "cooldown", before: func(s *scene) {
		s.knock(nettest.Server4, "4100", "4200")
		s.d.waitFor("rare: OPEN SESAME", 1)
	}, act: func(s *scene) { s.knock(nettest.Server4, "4100", "4200") }},
	{name: "SPA with a wrong clock", act: func(s *scene) {
		sendMessage(s.t, s.client, stampedMessage(s.t, laptop, time.Now().Add(-97*time.Minute), "10.7.0.1"))
	}},
	{name: "SPA sent again", before: func(s *scene) {
		s.message = message(s.t, laptop, "10.7.0.1")
		sendMessage(s.t, s.client, s.message)
		s.d.waitFor("10.7.0.1: vpn: OPEN SESAME", 1)
	}, act: func(s *scene) { sendMessage(s.t, s.client, s.message) }},
}

// oneTimePorts are those of the first line of the one-time file.
func oneTimePorts() []string {
	line, _, _ := strings.Cut(oneTimeLines, "\n")
	return strings.Split(strings.TrimSpace(line), ",")
}

// TestExplainStories: of each knock that fails is told, live, what a person needs.
func TestExplainStories(t *testing.T) {
	nettest.NeedProgram(t, "iptables", "nc")
	texts := make([]string, len(stories))
	t.Run("stories", func(t *testing.T) {
		for i, story := range stories {
			t.Run(story.name, func(t *testing.T) {
				client, server := nettest.Pair(t)
				conf := explainDoors
				if strings.HasPrefix(story.name, "SPA") {
					conf += "[vpn]\n\tspa_key_file = DIR/ssh.keys\n\topen = tcp/22\n\tcmd_timeout = 30\n"
				}
				s := &scene{t: t, client: client, server: server}
				if conf == explainDoors {
					s.d = start(t, server, conf)
				} else {
					s.d = startKeyed(t, server, conf, spaKeys)
				}
				if story.before != nil {
					story.before(s)
				}
				args := []string{nettest.Client4}
				switch story.ask {
				case "":
				case "all":
					args = nil
				default:
					args = []string{story.ask}
				}
				e := s.d.explain(t, server, args...)
				story.act(s)
				texts[i] = strings.ReplaceAll(e.end(), s.d.file("sequences"), "ONETIME")
			})
		}
	})
	var b bytes.Buffer
	for i, story := range stories {
		fmt.Fprintf(&b, "== %s\n%s\n", story.name, texts[i])
	}
	if !t.Failed() {
		nettest.Golden(t, "testdata/explain.txt", b.String())
	}
}
