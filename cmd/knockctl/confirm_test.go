package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knockd/internal/control"
)

// process is one of a /proc that a test makes.
type process struct {
	pid, parent int
	name        string
	ticks       int // when it began
	environ     string
}

// procOf makes a /proc of a machine that is up for an hour.
func procOf(t *testing.T, all ...process) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("uptime", "3600.00 7000.00\n")
	for _, p := range all {
		put(fmt.Sprintf("%d/stat", p.pid), fmt.Sprintf("%d (%s) S %d %s %d 0 0\n", p.pid, p.name, p.parent, strings.TrimSpace(strings.Repeat("0 ", 17)), p.ticks))
		put(fmt.Sprintf("%d/environ", p.pid), p.environ)
	}
	return dir
}

const fromSix = "TERM=x\x00SSH_CONNECTION=2001:db8::7 5000 2001:db8::1 22\x00"

// TestLogin: the nearest sshd is the session's, and says where it comes from.
func TestLogin(t *testing.T) {
	listener := process{pid: 10, parent: 1, name: "sshd", ticks: 100}
	for _, c := range []struct {
		name string
		all  []process
		want login
	}{
		{"console", []process{{pid: 99, parent: 20, name: "bash"}, {pid: 20, parent: 1, name: "login"}}, login{}},
		{"tmux", []process{{pid: 99, parent: 20, name: "bash", environ: fromSix}, {pid: 20, parent: 1, name: "tmux: server", environ: fromSix}},
			login{from: netip.MustParseAddr("2001:db8::7")}},
		{"sudo", []process{
			{pid: 99, parent: 30, name: "sudo"}, {pid: 30, parent: 21, name: "bash", environ: fromSix},
			{pid: 21, parent: 20, name: "sshd", ticks: 300010}, {pid: 20, parent: 10, name: "sshd", ticks: 300000}, listener,
		}, login{true, 3000*time.Second + 100*time.Millisecond, 599*time.Second + 900*time.Millisecond, netip.MustParseAddr("2001:db8::7")}},
		{"a name with a bracket", []process{
			{pid: 99, parent: 30, name: "a) S 1 (b", environ: "SSH_CONNECTION=::ffff:192.0.2.7 1 2 3\x00"},
			{pid: 30, parent: 10, name: "sshd-session", ticks: 200000}, listener,
		}, login{true, 2000 * time.Second, 1600 * time.Second, netip.MustParseAddr("192.0.2.7")}},
		{"nothing is to be seen", nil, login{}},
	} {
		w := &world{proc: procOf(t, c.all...), pid: 99}
		if got := w.login(); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// TestDoubt: who has not shown that a door opens is told so.
func TestDoubt(t *testing.T) {
	session := func(ticks int, environ string) []process {
		return []process{{pid: 99, parent: 20, name: "bash", environ: environ}, {pid: 20, parent: 1, name: "sshd", ticks: ticks}}
	}
	tried := &control.OnTrial{Begun: control.Seconds(3000 * time.Second), Rescue: []string{"2001:db8::/32"}}
	for _, c := range []struct {
		name string
		all  []process
		want string
	}{
		{"console", []process{{pid: 99, parent: 1, name: "bash"}}, "this is no session of ssh, as that of a console is none: it shows not that a door opens"},
		{"older", session(299999, fromSix), "this session of ssh is older than the trial"},
		{"from nowhere", session(300001, ""), "it is not to be seen where this session of ssh comes from"},
		{"rescue", session(300001, fromSix), "2001:db8::7 is an address of rescue, for which nothing is closed"},
	} {
		w := &world{proc: procOf(t, c.all...), pid: 99}
		got, err := w.doubt(context.Background(), nil, tried)
		if got != c.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

// TestParseTrial: how long a trial may last.
func TestParseTrial(t *testing.T) {
	for text, want := range map[string]time.Duration{"10s": 10 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "24h": 24 * time.Hour} {
		if got, err := parseTrial(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "9s", "-5m", "25h", "5x"} {
		want := fmt.Sprintf("%q: must be a time from 10s to 24h0m0s, as 5m", text)
		if _, err := parseTrial(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
