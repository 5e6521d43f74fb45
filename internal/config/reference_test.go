package config

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"knockd/internal/conformance"
	"knockd/internal/nettest"
)

// TestReference gives random configurations to Debian's knockd 0.8 and to
// Parse: whatever the reference refuses is refused, and what both take is read
// to the same. It needs the package knockd.
func TestReference(t *testing.T) {
	reference := findReference(t)
	g := generator{nettest.Rand(t)}
	both := 0
	for i := range 60 {
		src := g.config()
		want, ok := referenceReads(t, reference, src)
		c, err := Parse("k.conf", []byte(src))
		switch {
		case err == nil && !ok:
			t.Errorf("configuration %d: the reference refuses\n%q", i, src)
		case err == nil && !slices.Equal(c.Trace.WithoutInterface(), want):
			t.Errorf("configuration %d: reads\n%q\nto\n%q\nthe reference to\n%q", i, src, c.Trace.WithoutInterface(), want)
		case err == nil:
			both++
		}
	}
	if both < 6 {
		t.Errorf("only %d configurations were taken: this compares nothing", both)
	}
}

// findReference returns the path of knockd 0.8 itself, not of this project's.
func findReference(t *testing.T) string {
	t.Helper()
	nettest.NeedProgram(t, "knockd")
	path, err := conformance.ReferenceProgram("knockd")
	if err != nil {
		nettest.Missing(t, "needs knockd 0.8: %v", err)
	}
	return path
}

// referenceReads returns what knockd -D prints of a configuration and whether
// it takes it. What follows, listening, needs no success.
func referenceReads(t *testing.T, knockd, src string) (trace []string, ok bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "k.conf")
	nettest.Write(t, path, src)
	cmd := exec.Command(knockd, "-i", "lo", "-D", "-c", path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := ""
	for s := bufio.NewScanner(stdout); ended == "" && s.Scan(); {
		if line := s.Text(); strings.HasPrefix(line, "config: ") {
			trace = append(trace, line)
		} else {
			ended = line
		}
	}
	if !strings.HasPrefix(ended, "usage: ") {
		cmd.Process.Kill() // else it goes on listening
	}
	cmd.Wait()
	refused := strings.HasPrefix(ended, "usage: ") || strings.HasPrefix(stderr.String(), "config: ") ||
		strings.HasPrefix(stderr.String(), "error: section")
	return trace, !refused
}

// generator makes configurations that are mostly right.
type generator struct{ *rand.Rand }

func (g generator) one(of ...string) string { return of[g.IntN(len(of))] }

func (g generator) blank() string { return g.one("", "", " ", "\t", " \t ") }

func (g generator) list(comma string, n int, field func() string) string {
	fields := make([]string, 1+g.IntN(n))
	for i := range fields {
		fields[i] = field()
	}
	return strings.Join(fields, comma)
}

func (g generator) config() string {
	var lines []string
	for range 1 + g.IntN(3) {
		if g.IntN(4) == 0 {
			lines = append(lines, "[options]", g.one("usesyslog", "LogFile = /x", "pidfile=/y", "# c", "", "colour = red"))
			continue
		}
		lines = append(lines, g.blank()+"["+g.one("a", "b", "my door", " x ", "%IP%", "a]b", "[a", "#h", "DEFAULT", "1")+"]"+
			g.one("", "", "", "", " ", "\t", "#"))
		body := []string{g.one("sequence", "SeQuence") + g.blank() + "=" + g.blank() + g.list(",", 4, g.port) + g.comment()}
		for range g.IntN(3) {
			body = append(body, g.line())
		}
		g.Shuffle(len(body), func(i, j int) { body[i], body[j] = body[j], body[i] })
		lines = append(lines, body...)
	}
	end := g.one("\n", "\n", "\r\n")
	return strings.Join(lines, end) + g.one("", end)
}

// comment is one that knockd 0.8 overlooks behind a number, mostly.
func (g generator) comment() string {
	if g.IntN(5) > 0 {
		return ""
	}
	return g.one(" ", "\t", "  ", " ", "") + g.one("# x", "; x", "#", "# 8000", "; 3 ports", "; 8000", "# a,b", "# a:udp", "# see 22:tcp")
}

func (g generator) port() string {
	if g.IntN(15) > 0 {
		return g.one("1", "22", "7000", "8000:udp", "65535", "9:tcp", " 10 : UDP", "+5", "0022")
	}
	return g.one("0", "65536", "-1", "7x", "ssh", "", "7 0", "1:", "1:x", "1:tcp:udp")
}

func (g generator) line() string {
	if g.IntN(15) == 0 {
		return g.one("colour = red", "sequence 1,2", "= 5", ";c", "#c", "- = x", `"timeout" = 1`, "logfile = /x", "gibberish", "")
	}
	key, value := "", ""
	switch g.IntN(5) {
	case 0:
		key, value = g.one("seq_timeout", "Timeout", "cmd_timeout"), g.one("1", "10", "+7", "08", "25", "0", "-5", "x", "5s", "5 seconds", "2147483648")+g.comment()
	case 1:
		key = "TCPFlags"
		value = g.list(g.one(",", ",", ",", " ,", ", "), 3, func() string {
			return g.one("syn", "!ack", "FIN", "!Rst", "psh", "urg", "syn", "ack", "ece", "!")
		})
	case 2:
		key, value = "target", g.one("192.0.2.1", "::1", "2001:DB8::1")
	default:
		key = g.one("command", "Start_Command", "command_6", "start_command_6", "stop_command", "Stop_Command_6")
		value = g.one("x %IP%", "a # b", `"q"`, "'q'", "`b`", "a=b=c", "", `\`, `a\`, `"""t"""`, "%(x)s", "$x ${y} %", "a;b", "[x]", "x\u00a0")
	}
	return fmt.Sprint(g.blank(), key, g.blank(), "=", g.blank(), value, g.blank())
}
