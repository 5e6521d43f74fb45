package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/config/bad-*.conf")
	if err != nil || len(files) < 11 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			config, err := Parse(filepath.Base(file), src)
			if err == nil || config != nil {
				t.Fatalf("config %v, error %v", config, err)
			}
			nettest.Golden(t, strings.TrimSuffix(file, ".conf")+".stderr", err.Error()+"\n")
		})
	}
}

func parse(t *testing.T, src string) *Config {
	t.Helper()
	c, err := Parse("k.conf", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryKey(t *testing.T) {
	got := parse(t, `# every key of knockd 0.8
[options]
	LogFile   = /var/log/knockd.log
	PidFile   = run/knockd.pid
	Interface = eth0, wg0,eth0
	UseSyslog

[ssh]
	SEQUENCE        = 7001, +8000 : UDP ,09000:tcp
	Seq_Timeout     = 15
	TCPFlags        = syn,!ack
	Target          = 2001:DB8::1
	Start_Command   = open %IP%
	Start_Command_6 = open6 %IP%
	Cmd_Timeout     = 0
	Stop_Command    = close %IP%
	Stop_Command_6  =

[mail]
	one_time_sequences = mail.seq
	timeout  = 3
	command  = x
`)
	want := &Config{
		LogFile: "/var/log/knockd.log", PidFile: "run/knockd.pid",
		Interfaces: []string{"eth0", "wg0"}, UseSyslog: true, LogFormat: LogClassic, SyslogFormat: SyslogClassic,
		MaxAttempts: 262144, LogRate: 100, HistorySize: 4 << 20, HistoryDays: 90,
		NftMode: "guard", NftTable: Table{Family: "inet", Name: "knockd"}, GuardHook: "input", NftMark: Mark{Value: 0x100000, Mask: 0x100000},
		Doors: []*Door{{
			Door: knock.Door{
				Name:     "ssh",
				Sequence: []knock.Step{{Proto: knock.TCP, Port: 7001}, {Proto: knock.UDP, Port: 8000}, {Proto: knock.TCP, Port: 9000}},
				Timeout:  15 * time.Second,
				Flags:    knock.FlagMatch{Set: knock.SYN, Clear: knock.ACK},
				Target:   netip.MustParseAddr("2001:db8::1"),
			},
			Place:        Place{"k.conf", 8},
			StartCommand: "open %IP%", StartCommand6: "open6 %IP%",
			StopCommand: "close %IP%", StopCommand6: "", CmdTimeout: 0, OpenPrefix4: 32, OpenPrefix6: 128,
		}, {
			Door:  knock.Door{Name: "mail", Timeout: 3 * time.Second},
			Place: Place{"k.conf", 19}, OneTimeFile: "mail.seq",
			StartCommand: "x", StartCommand6: "x", CmdTimeout: 10 * time.Second, OpenPrefix4: 32, OpenPrefix6: 128,
		}},
		Trace: Trace{
			"config: new section: 'options'",
			"config: log file: /var/log/knockd.log",
			"config: pid file: run/knockd.pid",
			"config: interface: eth0, wg0,eth0",
			"config: usesyslog",
			"config: new section: 'ssh'",
			"config: ssh: sequence: 7001:tcp,8000:udp,9000:tcp",
			"config: ssh: seq_timeout: 15",
			"config: tcp flag: SYN",
			"config: tcp flag: !ACK",
			"config: ssh: target: 2001:DB8::1",
			"config: ssh: start_command: open %IP%",
			"config: ssh: start_command_6: open6 %IP%",
			"config: ssh: cmd_timeout: 0",
			"config: ssh: stop_command: close %IP%",
			"config: ssh: stop_command_6: ",
			"config: new section: 'mail'",
			"config: mail: one time sequences file: mail.seq",
			"config: mail: seq_timeout: 3",
			"config: mail: start_command: x",
		},
	}
	for _, d := range got.Doors {
		d.Actions = nil // follow from the rest: TestActions
	}
	got.places = nil
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Config{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

// TestCommandsKeepTheirBytes: what the shell gets is what was written.
func TestCommandsKeepTheirBytes(t *testing.T) {
	for _, command := range []string{
		"a # b", "a ; b", "a \\", "`date`", "\"\"\"x\"\"\" %IP%", "\"x y\"", "'x y'", "date %(x)s %s", "echo ${HOME} $$",
		"a=b c=d", "=x", "x=", ".", "..", "x.", ".=.", "\\;", "\\#", "a\tb", "\u00a0x\u00a0", "echo ü “x”", "\xff\xfe", "[a]", "`", "\"\"\"",
		"a\rb", "", "\u2028", "x\u0085",
	} {
		c := parse(t, "[a]\r\nsequence = 1\r\ncommand = \t"+command+" \t\r\nstop_command = stop\r\n")
		d := c.Doors[0]
		if d.StartCommand != command || d.StartCommand6 != command || d.StopCommand != "stop" {
			t.Errorf("command %q became %q, %q, %q", command, d.StartCommand, d.StartCommand6, d.StopCommand)
		}
		if line := c.Trace[len(c.Trace)-2]; line != "config: a: start_command: "+command {
			t.Errorf("command %q: -D prints %q", command, line)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"", "k.conf: no door: nothing can ever open"},
		{"[options]\nusesyslog\nusesyslog\n", "k.conf: no door: nothing can ever open"},
		{"[a]\nsequence=1\n[a]\nsequence=2\n", "k.conf:3: [a] door 2 of this name"},
		{"[a]\nsequence=1\nsequence=2\n", "k.conf:3: [a] sequence: replaces the one of line 2"},
		{"[a]\nsequence=1\ncommand=x\nstart_command=y\n", "k.conf:4: [a] start_command: replaces the one of line 3"},
		{"[a]\nsequence=1\ntcpflags=syn\ntcpflags=ack\n", ""},
		{"[a]\nsequence=1\nUseSyslog\n", "k.conf:3: [a] UseSyslog: holds for all doors: belongs in the section [options]"},
		{"[a]\nsequence=1\none_time_sequences=f\n", "k.conf:2: [a] sequence: is not used: one_time_sequences follows"},
		{"[a]\nsequence=1\nstop_command=x\n", "k.conf:3: [a] stop_command: never runs: the door has no start_command"},
		{"[a]\nsequence=1\nseq_timeout=0\n", ""},
		{"[options]\nnft_mode=set\n[a]\nsequence=1\nopen=tcp/22\nnft_set=inet f s\n",
			"k.conf:5: [a] open: opens nothing for IPv6: there is no nft_set_6"},
		{"[a]\nspa_key_file=k\nspa_hmac=none\n",
			"k.conf:3: [a] spa_hmac: none: anybody can make the daemon decrypt, and packets can be altered on their way"},
		{"[" + strings.Repeat("n", 300) + "]\nsequence=1\n",
			"k.conf:1: [" + strings.Repeat("n", 127) + "] the name is cut to 127 bytes, as knockd 0.8 does"},
	} {
		if got := strings.Join(parse(t, c.src).Warnings, "\n"); got != c.want {
			t.Errorf("%.60q warns\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
}

func TestTraceEndsAtTheFirstFault(t *testing.T) {
	_, err := Parse("k.conf", []byte("[a]\nsequence=1\ntcpflags=syn,foo\ncommand=x\n[b]\n"))
	want := Trace{"config: new section: 'a'", "config: a: sequence: 1:tcp", "config: tcp flag: SYN"}
	if got := err.(*FaultError).Trace; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestNames(t *testing.T) {
	c := parse(t, "  [ my door ]\t\nsequence=1\n[%IP%]\nsequence=1\n[a]b]\nsequence=1\n[[a]]\nsequence=1\n[#a]\nsequence=1\n"+
		"[DEFAULT]\nsequence=1\n[1+x]\nsequence=1\n[\u00a0]\nsequence=1\n[ ]\nsequence=1\n[\ta\t]\nsequence=1\n[DEFAULT]\nsequence=1\n")
	var got []string
	for _, d := range c.Doors {
		got = append(got, d.Name)
	}
	want := []string{" my door ", "%IP%", "a]b", "[a]", "#a", "DEFAULT", "1+x", "\u00a0", " ", "\ta\t", "DEFAULT"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if o := c.Doors[10].N; o != 2 {
		t.Errorf("occurrence %d, want 2", o)
	}
}

func TestEqual(t *testing.T) {
	base := "sequence=1\ntcpflags=syn\ntarget=192.0.2.1\ncommand=x\n"
	a := parse(t, "[a]\n"+base).Doors[0]
	if b := parse(t, "# moved\n[b]\nsequence=2\n[a]\n"+base).Doors[1]; !a.Equal(b) {
		t.Error("a door that moved is another")
	}
	for _, other := range []string{"[b]\n" + base, "[a]\n" + base + "sequence=2\n", "[a]\n" + base + "target=192.0.2.2\n",
		"[a]\n" + base + "tcpflags=ack\n", "[a]\n" + base + "command_6=y\n", "[a]\n" + base + "cmd_timeout=9\n",
		"[a]\n" + base + "repeats=forgive\n", "[a]\n" + base + "allow=192.0.2.1\n", "[a]\n" + base + "deny=192.0.2.1\n",
		"[a]\n" + base + "cooldown=9\n", "[a]\n" + base + "packet_length=9\n", "[a]\n" + base + "open_prefix_4=24\n",
		"[a]\n" + base + "close=b\n[b]\nsequence=7"} {
		if b := parse(t, other).Doors[0]; a.Equal(b) {
			t.Errorf("%q: is the same door", other)
		}
	}
}

// TestLargeFile: places stay right in a file that is read in many parts.
func TestLargeFile(t *testing.T) {
	src := append(doorsText(3000), "[last]\nsequence = 1\ncolour = red\n"...)
	lines := strings.Count(string(src), "\n")
	_, err := Parse("k.conf", src)
	if want := fmt.Sprintf("k.conf:%d: [last] colour: unknown key: the nearest known one is \"close\"", lines); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	var fault *Fault
	if !errors.As(err, &fault) || fault.Place != (Place{"k.conf", lines}) || fault.Section != "last" || fault.Key != "colour" {
		t.Errorf("%+v", fault)
	}
	c := parse(t, string(doorsText(3000)))
	for i, d := range c.Doors {
		if want := fmt.Sprintf("door%d", i); d.Name != want || d.Place.Line != 5+9*i || !strings.HasPrefix(d.StopCommand, "/sbin/iptables -D") {
			t.Fatalf("door %d: %+v", i, d)
		}
	}
}

// TestLongSection: the time to read a section grows with its lines, not with
// their square, and places stay right.
func TestLongSection(t *testing.T) {
	const lines = 1_000_000
	src := "[a]\nsequence = 1\n" + strings.Repeat("tcpflags = syn\n", lines) + "colour = red\n[b]\nsequence = 2\ncolour = red\n"
	done := make(chan error, 1)
	go func() { _, err := Parse("k.conf", []byte(src)); done <- err }()
	select {
	case err := <-done:
		want := fmt.Sprintf("k.conf:%d: [a] colour: unknown key: the nearest known one is \"close\"\nk.conf:%d: [b] colour: unknown key: the nearest known one is \"close\"", lines+3, lines+6)
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	case <-time.After(2 * time.Minute): // a few seconds, or a quarter of an hour
		t.Fatal("still reading")
	}
}

// TestPartsOfASection: a section is one, in however many parts it is read.
func TestPartsOfASection(t *testing.T) {
	dropIn := "[b]\n" + strings.Repeat("tcpflags = syn\n", 3*partLines) + "command = x\nnew = yes\nsequence = 2\n[c]\nnew = yes\nsequence = 3\n"
	c, err := newParser("m").parse(source{"m", []byte("[a]\nsequence = 1\n")}, []source{{"d", []byte(dropIn)}})
	if err != nil || len(c.Doors) != 3 || c.Doors[1].StartCommand != "x" || c.Doors[2].Place != (Place{"d", 3*partLines + 5}) {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestLongLists: so does the time for a list, of ports above all.
func TestLongLists(t *testing.T) {
	var ports, odd, names []string
	for port := 1; port <= 65535; port++ {
		ports = append(ports, fmt.Sprintf("tcp/%d, udp/%d", port, port))
		if port%2 == 1 && port > 10 && port < 40000 {
			odd = append(odd, fmt.Sprintf("tcp/%d", port))
		}
	}
	for i := range maxInterfaces + 1 {
		names = append(names, fmt.Sprintf("eth%d", i))
	}
	for _, c := range []struct{ src, err string }{
		{"[a]\nsequence = 1\nopen = " + strings.Join(ports, ","), ""},
		{"[a]\nsequence = 1\nopen = " + strings.Join(append(ports, "tcp/9"), ","),
			"k.conf:3: [a] open: tcp/9 and tcp/9 overlap: each port must be named once"},
		{"[a]\nsequence = 2,4,6\nstrict = yes\nstrict_ignore = " + strings.Join(odd, ","), ""},
		{"[a]\nsequence = 12,14,16\nstrict = yes\nstrict_ignore = " + strings.Join(odd, ","),
			"k.conf:2: [a] sequence: between steps 1 and 2 are only ports of strict_ignore: a port scan takes both; a strict door's must be further apart"},
		{"[a]\nsequence = " + strings.Repeat("1,", 10_000_000) + "1", "k.conf:2: [a] sequence: 10000001 ports: must be at most 32"},
		{"[options]\nInterface = " + strings.Join(names, ","),
			"k.conf:2: [options] interface: more than 1000 interfaces: must be fewer, or any"},
	} {
		_, err := Parse("k.conf", []byte(c.src))
		if got := fmt.Sprint(err); c.err == "" && err != nil || c.err != "" && got != c.err {
			t.Errorf("%.60q: %.300s, want %q", c.src, got, c.err)
		}
	}
}

func TestParseSequence(t *testing.T) {
	for text, want := range map[string]string{
		" 1,2:udp ": "1:tcp,2:udp", "": "is empty: must be at least one port",
		"1,*": `step 2: port "*": must be a number between 1 and 65535`,
	} {
		steps, err := parseSequence(text, false)
		got := FormatSequence(steps)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestOptionsChanged(t *testing.T) {
	a := parse(t, "[options]\nLogFile=/x\nInterface=eth0,wg0\nnever_ignore=192.0.2.1\nStart_Limit=5\n")
	b := parse(t, "# moved\n[options]\nInterface = eth0 , wg0\nlogfile = /x\nnever_ignore=192.0.2.1/32\n[a]\nsequence=1\n")
	if got, _ := a.OptionsChanged(b); got != nil {
		t.Errorf("%v", got)
	}
	c := parse(t, "[options]\nLogFile=/y\nPidFile=p\nInterface=eth0\nUseSyslog\nStateDir=s\nOnStop=keep\nMaxAttempts=1\nLogRate=1\n"+
		"HistoryFile=h\nHistorySize=1 MB\nHistoryDays=1\nnft_mode=mark\nnft_table=t\nguard_hook=prerouting\nnft_mark=1\nmax_failures=1/1,1\n")
	want := []string{"LogFile", "PidFile", "Interface", "UseSyslog", "StateDir", "OnStop", "MaxAttempts", "LogRate",
		"HistoryFile", "HistorySize", "HistoryDays", "nft_mode", "nft_table", "guard_hook", "nft_mark", "max_failures", "never_ignore"}
	if got, _ := a.OptionsChanged(c); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
