package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"knockd/internal/config"
	"knockd/internal/nettest"
)

// newBox is a host with a default route and a service at port 22.
func newBox(t *testing.T) *nettest.Host {
	t.Helper()
	client, server := nettest.Pair(t)
	server.Run("ip", "route", "add", "default", "via", nettest.Client4)
	server.EchoTCP(":22")
	_ = client
	return server
}

// onBox runs knockctl there.
func onBox(t *testing.T, h *nettest.Host, words ...string) (s nettest.Session) {
	t.Helper()
	err := h.Do(func() error {
		var stdout, stderr bytes.Buffer
		s.Code = run(t.Context(), words, &world{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, run: execute, getenv: os.Getenv})
		s.Stdout, s.Stderr = stdout.String(), stderr.String()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fourPorts are those of a sequence, however they are joined.
var fourPorts = regexp.MustCompile(`\b\d{4,5}([ ,]+)\d{4,5}([ ,]+)\d{4,5}([ ,]+)\d{4,5}\b`)

// TestInit: what a user sees of knockctl init on a host without a firewall.
func TestInit(t *testing.T) {
	nettest.NeedRealRoot(t) // or the state's directory, which is checked, cannot be made
	nettest.Transcripts{
		Program: "knockctl",
		Run: func(t *testing.T, _ string, words []string) nettest.Session {
			return onBox(t, newBox(t), words[1:]...)
		},
		Mask: func(text string) string { return fourPorts.ReplaceAllString(text, "A${1}B${2}C${3}D") },
	}.Compare(t, "testdata/init/*.txtar")
}

// TestInitWrites: the files are for their owner alone, and hold what was said.
func TestInitWrites(t *testing.T) {
	nettest.NeedRoot(t)
	dir, h := t.TempDir(), newBox(t)
	conf := filepath.Join(dir, "knockd.conf")
	first := onBox(t, h, "init", "-c", conf, "--card", dir+"/card.svg")
	second := onBox(t, h, "init", "-c", conf, "--name", "two", "--card", dir+"/card.txt")
	if first.Code != 0 || second.Code != 0 {
		t.Fatalf("%+v\n%+v", first, second)
	}
	for _, name := range []string{conf, conf + ".d/50-two.conf", dir + "/card.svg", dir + "/card.txt"} {
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	made, err := config.LoadWith(conf, config.Extras{Advice: true})
	if err != nil || len(made.Doors) != 2 || len(made.Warnings)+len(made.Advice) > 0 {
		t.Fatalf("%v %+v", err, made)
	}
	for i, s := range []nettest.Session{first, second} {
		var ports []string
		for _, step := range made.Doors[i].Sequence {
			ports = append(ports, strings.TrimPrefix(step.Ports().String(), "tcp/"))
		}
		if !strings.Contains(s.Stdout, "\nknock -w tcp/22 10.7.0.2 "+strings.Join(ports, " ")+" && ssh 10.7.0.2\n") {
			t.Errorf("%v: %s", ports, s.Stdout)
		}
	}
}

// TestInitAllOrNothing: what cannot be written wholly is not written, and what is
// there stays as it is.
func TestInitAllOrNothing(t *testing.T) {
	nettest.NeedRoot(t)
	h := newBox(t)
	for name, c := range map[string]struct {
		make func(dir string)
		args string
		want string
		left string // names in the directory
	}{
		"the card is there": {args: "--card DIR/card.txt", make: func(dir string) { nettest.Write(t, dir+"/card.txt", "mine") },
			want: "knockctl: open DIR/card.txt: file exists\nknockctl: hint: nothing is overwritten: move it away, or choose another directory\n", left: "card.txt"},
		"the output is there": {args: "--output DIR/out --card DIR/card.svg", make: func(dir string) { nettest.Write(t, dir+"/out", "mine") },
			want: "knockctl: open DIR/out: file exists\nknockctl: hint: nothing is overwritten: move it away, or choose another directory\n", left: "out"},
		"the drop-in is there": {args: "--card DIR/card.svg", make: func(dir string) {
			nettest.Write(t, dir+"/knockd.conf", "[web]\nsequence = 1500,9,1700\ncommand = true\n")
			os.Mkdir(dir+"/knockd.conf.d", 0o755)
			nettest.Write(t, dir+"/knockd.conf.d/50-ssh.conf", "")
		}, want: "knockctl: open DIR/knockd.conf.d/50-ssh.conf: file exists\nknockctl: hint: nothing is overwritten: move it away, or choose another directory\n",
			left: "knockd.conf knockd.conf.d"},
		"a drop-in waits for its door": {args: "--card DIR/card.svg", make: func(dir string) {
			os.Mkdir(dir+"/knockd.conf.d", 0o755)
			nettest.Write(t, dir+"/knockd.conf.d/a.conf", "[nobody]\nstrict = yes\n")
		}, want: "knockctl: the configuration would be faulty: DIR/knockd.conf.d/a.conf:1: [nobody] names no door: must be a door of DIR/knockd.conf, or say new = yes\n",
			left: "knockd.conf.d"},
		"a faulty configuration": {make: func(dir string) { nettest.Write(t, dir+"/knockd.conf", "[a]\ncolour = blue\n") },
			want: "knockctl: DIR/knockd.conf:1: [a] sequence: ", left: "knockd.conf"},
		"a dangling link": {make: func(dir string) { os.Symlink(dir+"/elsewhere", dir+"/knockd.conf") },
			want: "knockctl: ", left: "knockd.conf"},
		"no directory": {args: "--card DIR/none/card.svg", want: "knockctl: open DIR/none/card.svg: no such file or directory\n"},
	} {
		dir := t.TempDir()
		if c.make != nil {
			c.make(dir)
		}
		args := strings.Fields(strings.ReplaceAll("init -c DIR/knockd.conf "+c.args, "DIR", dir))
		got := onBox(t, h, args...)
		text := strings.ReplaceAll(got.Stderr, dir, "DIR")
		if got.Code != 1 || got.Stdout != "" || !strings.HasPrefix(text, c.want) {
			t.Errorf("%s: %d %s%s\nwant %s", name, got.Code, got.Stdout, text, c.want)
		}
		var left []string
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			left = append(left, e.Name())
		}
		if strings.Join(left, " ") != c.left {
			t.Errorf("%s: %q is left, want %q", name, left, c.left)
		}
	}
}

// TestInitUnexamined: where the firewall cannot be read, somebody has to say what
// it does.
func TestInitUnexamined(t *testing.T) {
	nettest.NeedRealRoot(t)
	nettest.NeedProgram(t, "iptables-legacy", "iptables-legacy-save")
	h := newBox(t)
	h.Run("iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT")
	t.Setenv("PATH", t.TempDir())
	conf := filepath.Join(t.TempDir(), "knockd.conf")
	got := onBox(t, h, "init", "-c", conf)
	want := "knockctl: what the host's firewall does cannot be told: iptables-legacy-save: not installed\nknockctl: hint: say --mode guard if it lets tcp/22 in, --mode mark if it drops it\n"
	if got.Code != 1 || got.Stderr != want {
		t.Errorf("%+v\nwant %s", got, want)
	}
	got = onBox(t, h, "init", "-c", conf, "--mode", "mark")
	if got.Code != 0 || !strings.Contains(got.Stdout, "what the firewall does with tcp/22 is not known: nft_mode = mark, as asked for\n") ||
		!strings.HasPrefix(got.Stderr, "knockctl: warning: what the host's firewall does cannot be told") {
		t.Errorf("%+v", got)
	}
}
