package profile

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"knockd/internal/client"
	"knockd/internal/knock"
)

const sample = "\ufeff# comment\r\n; comment\r\n" + `
[home HOME.example.com]
host = server.example.com
Sequence = 7000, 8000:udp,9000
delay = 0
wait = tcp/2222
timeout = 1m30s
retry = 0
family = ipv6

[*.example.com]
address = ::ffff:192.0.2.1
sequence_file = secret
delay = 200
flags = syn,ack
source = 2001:db8::1
interface = eth0

[once]
one_time_file = ~/lines

[h?st*]
wait = 22
`

func TestFind(t *testing.T) {
	c, err := Parse("config", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	c.place("/etc", "/home/me")
	zero, none, half := 0, time.Duration(0), 90*time.Second
	ms := 200 * time.Millisecond
	v6 := client.IPv6
	v4, s6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	steps := []knock.Step{{Proto: knock.TCP, Port: 7000}, {Proto: knock.UDP, Port: 8000}, {Proto: knock.TCP, Port: 9000}}
	home := Profile{Host: "server.example.com", Sequence: steps, Delay: &none, Wait: 2222, Timeout: &half, Retry: &zero, Family: &v6}
	both := home // the first section's settings, and what the pattern adds
	both.Address, both.Flags, both.Source, both.Interface = v4, knock.SYN|knock.ACK, s6, "eth0"
	for name, want := range map[string]*Profile{
		"home":             &home,
		"HOME":             &home,
		"home.example.com": &both,
		"www.Example.com": {Address: v4, SequenceFile: "/etc/secret", Delay: &ms, Flags: knock.SYN | knock.ACK,
			Source: s6, Interface: "eth0"},
		"once":         {OneTimeFile: "/home/me/lines"},
		"host":         {Wait: 22},
		"example.com":  nil,
		"":             nil,
		"home?":        nil,
		"[h?st*]":      nil,
		"h":            nil,
		"homestead":    nil,
		"hastings.org": {Wait: 22},
	} {
		got, ok := c.Find(name)
		if ok != (want != nil) {
			t.Errorf("Find(%q) finds %v", name, ok)
		} else if ok && !reflect.DeepEqual(got, *want) {
			t.Errorf("Find(%q) = %+v\nwant %+v", name, got, *want)
		}
	}
	if got, want := strings.Join(c.Names(), " "), "home HOME.example.com once"; got != want {
		t.Errorf("names %s, want %s", got, want)
	}
}

func TestFaults(t *testing.T) {
	const faulty = `wait = 22
[a]
sequence = 7000, 70000
delay = -1
wait = udp/53
timeout = 0
retry = many
family = ipv5
flags = syn,foo
source = here
address =
host =
color = red
interface
[b
[]
[c]
sequence = 1
sequence_file = x
wait = 22
Wait = 23
[[]
sequence = 1
`
	const want = `config:1: a setting before the first section: must be below a [HOST]
config:3: [a] sequence: port 70000: must be between 1 and 65535
config:4: [a] delay: cannot be negative
config:5: [a] wait: a udp port does not tell whether it is open: wait for a tcp port behind the same door
config:6: [a] timeout: must be more than 0
config:7: [a] retry: must be a number between 0 and 100
config:8: [a] family: "ipv5" is none of any, ipv4, ipv6, both
config:9: [a] flags: "foo" is none of fin, syn, rst, psh, ack, urg
config:10: [a] source: "here" is not an IP address
config:11: [a] address: "" is not an IP address
config:12: [a] host: is empty
config:13: [a] color: no such key
config:14: [a]: must be KEY = VALUE
config:15: section: must be a name in brackets
config:16: section: must be a name in brackets
config:19: [c] sequence_file: excludes the sequence of line 18
config:21: [c] wait: excludes the wait of line 20
config:22: section: must be a name in brackets`
	c, err := Parse("config", []byte(faulty))
	if err == nil || err.Error() != want || c != nil {
		t.Errorf("%v\nwant:\n%s", err, want)
	}
}

func TestPath(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("paths of Unix")
	}
	for env, want := range map[string]string{
		"HOME=/h":                          "/h/.config/knock/config",
		"HOME=/h XDG_CONFIG_HOME=/x":       "/x/knock/config",
		"HOME=/h XDG_CONFIG_HOME=relative": "/h/.config/knock/config",
		"XDG_CONFIG_HOME=/x":               "/x/knock/config",
		"":                                 "",
	} {
		got := Path(func(name string) string {
			for _, e := range strings.Fields(env) {
				if v, ok := strings.CutPrefix(e, name+"="); ok {
					return v
				}
			}
			return ""
		})
		if got != want {
			t.Errorf("%s: %q, want %q", env, got, want)
		}
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if c, err := Load(file, ""); err != nil || len(c.Names()) != 0 {
		t.Errorf("missing: %v", err)
	}
	if c, err := Load("", ""); err != nil || len(c.Names()) != 0 {
		t.Errorf("no name: %v", err)
	}
	if err := os.WriteFile(file, []byte("[a]\nsequence_file = s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file, "")
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := c.Find("a"); p.SequenceFile != filepath.Join(filepath.Dir(file), "s") {
		t.Errorf("%+v", p)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o700: false, 0o640: true, 0o604: true, 0o610: true} {
		os.Chmod(file, mode)
		if Exposed(file) != want {
			t.Errorf("mode %o: exposed %v", mode, !want)
		}
	}
	if Exposed(os.DevNull) || Exposed("/no/such/file") {
		t.Error("what is no file is exposed")
	}
}

// FuzzParse: no value together with an error, and what is accepted can be
// found.
func FuzzParse(f *testing.F) {
	f.Add(sample, "home")
	f.Add("[a]\nwait=22\n[*]\nretry=1", "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		c, err := Parse("x", []byte(text))
		if (c == nil) == (err == nil) {
			t.Fatal("value and error", c, err)
		}
		if err == nil {
			p, _ := c.Find(name)
			if p.Delay != nil && (*p.Delay < 0 || *p.Delay > 24*time.Hour) || p.Timeout != nil && (*p.Timeout <= 0 || *p.Timeout > 24*time.Hour) ||
				p.Retry != nil && (*p.Retry < 0 || *p.Retry > 100) || len(p.Sequence) > knock.MaxSteps ||
				p.Address.Is4In6() || p.Source.Is4In6() || len(p.Sequence) > 0 && (p.SequenceFile != "" || p.OneTimeFile != "") {
				t.Errorf("%+v", p)
			}
			for _, name := range c.Names() {
				if _, ok := c.Find(name); !ok && !strings.Contains(name, `\`) {
					t.Errorf("%q is not found", name)
				}
			}
			return
		}
		for line := range strings.Lines(err.Error()) {
			var n int
			if _, err := fmt.Sscanf(line, "x:%d: ", &n); err != nil || n < 1 || n > strings.Count(text, "\n")+1 {
				t.Errorf("fault without a place: %q", line)
			}
		}
	})
}
