package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// advice returns what is advised of a file, without its places.
func advice(t *testing.T, src string) string {
	t.Helper()
	var out []string
	for _, a := range parse(t, src).Advice {
		_, text, _ := strings.Cut(a, ": ")
		out = append(out, text)
	}
	return strings.Join(out, "\n")
}

func TestAdviceOnFlags(t *testing.T) {
	const again = "one step, whose flags every packet of a connection has, so that each opens the door again: say tcpflags = syn,!ack, and cooldown"
	const ack = "[a] tcpflags: ack: no ordinary client sends it in a packet that begins a connection: say syn,!ack"
	const noSyn = "[a] tcpflags: does not ask for syn: packets of connections that there are, those of this host's own among them, count as hits too: say syn,!ack"
	for _, c := range []struct{ keys, want string }{
		{"sequence = 7001", "[a] sequence: " + again},
		{"sequence = 7001\ntcpflags = ack", "[a] tcpflags: " + again},
		{"sequence = 7001\ntcpflags = !syn", "[a] tcpflags: " + again},
		{"sequence = 7001\ntcpflags = rst", "[a] tcpflags: " + again},
		{"sequence = 7001\ncooldown = 5", noSyn},
		{"sequence = 7001\nseq_cooldown = 5\ntcpflags = syn", ""},
		{"sequence = 7001\ntcpflags = ack\ncooldown = 5", ack},
		{"sequence = 7001:udp\ncooldown = 5", ""},
		{"sequence = 7001:udp\ntcpflags = ack\ncooldown = 5", ""},
		{"sequence = 7001,9005,8003\ntcpflags = syn,ack", ack},
		{"sequence = 7001,9005,8003\ntcpflags = syn,!fin,urg,psh", "[a] tcpflags: psh,urg: no ordinary client sends it in a packet that begins a connection: say syn,!ack"},
		{"sequence = 7001,9005,8003\ntcpflags = !syn,!ack", "[a] tcpflags: !syn: no ordinary client begins a connection without it: say syn,!ack"},
		{"sequence = 7001,9005,8003\ntcpflags = ack\ntcpflags = !ack", noSyn},
		{"sequence = 7001,9005,8003\ntcpflags = !ack,!rst", ""},
		{"sequence = 7001,9005,8003\ntcpflags = syn", ""},
		{"sequence = 7001,9005,8003", noSyn},
		{"sequence = 7001:udp,9005:udp,8003:udp", ""},
		{"sequence = 7001:udp,9005,8003:udp", noSyn},
		{"one_time_sequences = f\ntcpflags = ack", ""}, // whose steps nobody has read
	} {
		if got := advice(t, "[a]\n"+c.keys+"\n"); got != c.want {
			t.Errorf("%s: advises\n%s\nwant\n%s", c.keys, got, c.want)
		}
	}
}

func TestAdviceOnExamples(t *testing.T) {
	const want = "[a] sequence: is a published example, which is tried first: choose ports of your own"
	for sequence, known := range map[string]bool{
		"7000,8000,9000": true, "9000,8000,7000": true, "2222:udp,3333:tcp,4444:udp": true, "2222,3333,4444": true,
		"7000,9000,8000": false, "7000,8000,9000,7000": false, "8881,7777,9991": true,
	} {
		if got := advice(t, "[a]\nsequence = "+sequence+"\ntcpflags = syn\n"); (got == want) != known || got != "" && !known {
			t.Errorf("%s: advises %s", sequence, got)
		}
	}
}

// TestAdviceOnScans: sequences that a port scan takes by itself.
func TestAdviceOnScans(t *testing.T) {
	const (
		one  = "[a] sequence: one step: any port scan opens the door; at least three are harder to find"
		two  = "[a] sequence: two steps: a scan of all ports in random order opens the door every second time; take more, or say strict = yes"
		line = "[a] sequence: its ports only rise or only fall: a scan of all ports in this order opens the door; let them do both, or say strict = yes"
	)
	for _, c := range []struct{ keys, want string }{
		{"sequence = 7001", one},
		{"sequence = 7001:udp", one},
		{"sequence = 7001\ncooldown = 5", ""},
		{"sequence = 7001,9005", two},
		{"sequence = 9005,7001:udp", two},
		{"sequence = 7001,9005\nstrict = yes", ""},
		{"sequence = 7001,8003,9005", line},
		{"sequence = 9005,8003,7001", line},
		{"sequence = 9005:udp,8003:udp,7001:udp", line},
		{"sequence = 9005,8003:udp,7001", ""}, // one scanner does one protocol after the other
		{"sequence = 7001,8003,9005\nstrict = yes", ""},
		{"sequence = 7001,9005,8003", ""},
		{"sequence = 7001,9005,9005", ""},
		{"sequence = 7001,8013,*\nopen_ports = 9005\nopen = tcp/*", ""},
	} {
		if got := advice(t, "[a]\ntcpflags = syn,!ack\n"+c.keys+"\n"); got != c.want {
			t.Errorf("%s: advises\n%s\nwant\n%s", c.keys, got, c.want)
		}
	}
}

// TestAdviceOnPace: the time that a sequence has, and the pauses of our client.
func TestAdviceOnPace(t *testing.T) {
	for _, c := range []struct {
		steps   int
		timeout string
		want    string
	}{
		{10, "1", ""},
		{11, "1", ""}, // twice half a second
		{12, "1", "[a] seq_timeout: 1 s: knock takes 550ms for 12 steps, and a slow path takes longer: say at least 2"},
		{32, "3", "[a] seq_timeout: 3 s: knock takes 1.55s for 32 steps, and a slow path takes longer: say at least 4"},
		{32, "4", ""},
	} {
		sequence := strings.Repeat("7001,9005,", c.steps)
		sequence = strings.Join(strings.Split(sequence, ",")[:c.steps], ",")
		if got := advice(t, "[a]\ntcpflags = syn\nsequence = "+sequence+"\nseq_timeout = "+c.timeout+"\n"); got != c.want {
			t.Errorf("%d steps in %s s: advises\n%s\nwant\n%s", c.steps, c.timeout, got, c.want)
		}
	}
}

// TestAdviceOnBeginnings: a knock that opens another door on its way.
func TestAdviceOnBeginnings(t *testing.T) {
	const want = "[b] sequence: begins with that of [a] at k.conf:1: a knock at this door opens that one on its way"
	for _, c := range []struct {
		a, b string
		both bool
	}{
		{"7001,9005,8003", "7001,9005,8003,6007", true},
		{"7001,9005,8003", "9005,7001,9005,8003", false},
		{"7001,9005,8003", "7001:udp,9005,8003,6007", false},
		{"7001,9005,8003\nallow = 192.0.2.1", "7001,9005,8003,6007\nallow = 192.0.2.2", false},
		{"7001,9005,8003\ntarget = 192.0.2.1", "7001,9005,8003,6007", false},
		{"7001,9005,8003\ntarget = 192.0.2.1", "7001,9005,8003,6007\ntarget = 192.0.2.1", true},
		{"7001,9005,8003,6007", "7001,9005,8003,*:udp\nopen_ports = 5-6\nopen=tcp/*", false},
	} {
		got := advice(t, "[a]\ntcpflags = syn\nsequence = "+c.a+"\n[b]\ntcpflags = syn\nsequence = "+c.b+"\n")
		if (got == want) != c.both || !c.both && got != "" {
			t.Errorf("%q and %q: advises %s", c.a, c.b, got)
		}
	}
}

// TestAdviceOnTwins: doors that one packet can open together.
func TestAdviceOnSharedKnocks(t *testing.T) {
	const sequence = "sequence = 7001,9005,8003\n"
	const urgent = "[a] tcpflags: urg: no ordinary client sends it in a packet that begins a connection: say syn,!ack"
	for _, c := range []struct {
		a, b string
		both bool
	}{
		{"", "", true},
		{"tcpflags = syn\n", "tcpflags = syn,!fin\n", true},
		{"tcpflags = syn,urg\n", "tcpflags = syn,!urg\n", false},
		{"target = 192.0.2.1\n", "", false},
		{"target = 192.0.2.1\n", "target = 192.0.2.1\n", true},
		{"allow = 192.0.2.0/24\n", "allow = 192.0.3.0/24\n", false},
		{"allow = 192.0.2.0/24, 10.0.0.0/8\n", "allow = 10.1.0.0/16\n", true},
		{"allow = 192.0.2.0/24\n", "", true},
	} {
		want := "[b] sequence: is that of [a] at k.conf:1 too: one knock runs both doors, in no order that can be relied on"
		if !c.both {
			want = ""
		}
		const syn = "tcpflags = syn\n"
		got := strings.TrimPrefix(advice(t, "[a]\n"+sequence+syn+c.a+"[b]\n"+sequence+syn+c.b), urgent)
		if got != want {
			t.Errorf("%q and %q: advises %s", c.a, c.b, got)
		}
	}
	if got := advice(t, "[a]\nsequence = 7001:udp\ntcpflags = syn\n[b]\nsequence = 7001:udp\ntcpflags = !syn\n"); got == "" {
		t.Error("UDP has no flags")
	}
	many := strings.Repeat("[x]\ntcpflags = syn\n"+sequence, 20_000)
	if got := len(parse(t, many).Advice); got != 19_999 {
		t.Errorf("%d doors with a twin", got)
	}
}

func TestAdviceOnTexts(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"[a]\nsequence = 7001,9005,8003\ntcpflags = syn\ncmd_timeout = 5\ncommand = x\n", "[a] cmd_timeout: nothing closes then: that takes a stop_command, or open"},
		{"[a]\nsequence = 7001,9005,8003\ntcpflags = syn\ncmd_timeout = 5\nopen = tcp/22\n", ""},
		{"[a]\nsequence = 7001,9005,8003\ntcpflags = syn\ncmd_timeout = 5\nxt_recent = x\n", ""},
		{"[a]\nsequence = 7001,9005,8003\ntcpflags = syn\ncmd_timeout = 5\ncommand = x\nstop_command_6 = y\n", ""},
		{"[a]\nspa_key_file = f\nrequire_source = yes\ncmd_timeout = 5\ncommand = x\n", "[a] cmd_timeout: nothing closes then: that takes a stop_command, or open"},
		{"[options]\nInterface = eth0,\"eth1\"\n[a]\nsequence = 7001,9005,8003\ntcpflags = syn\n", `[options] interface: "eth1": the quotes belong to it, since there is no quoting`},
		{"[options]\nLogFile = \"/x\"\nPidFile = '/y'\nStateDir = /'z'\n[a]\none_time_sequences = \"f\"\n",
			"[options] logfile: \"/x\": the quotes belong to it, since there is no quoting\n[options] pidfile: '/y': the quotes belong to it, since there is no quoting\n" +
				"[a] one_time_sequences: \"f\": the quotes belong to it, since there is no quoting"},
		{"[OPTIONS]\nsequence = 7001,9005,8003\ntcpflags = syn\n", "[OPTIONS] is a door: the section that holds for all of them is [options], in lower case"},
		{"[a]\nsequence = 7001,9005,8003\ntcpflags = syn\ncommand = \"/opt/my prog\" \"%IP%\"\nstop_command_6 = 'x'\n", ""},
		{"[a]\nsequence = 7001,9005,8003\ntcpflags = syn\ncommand = x &lt; y\n", "[a] start_command: holds &lt;, as the source of a web page writes <"},
	} {
		if got := advice(t, c.src); got != c.want {
			t.Errorf("%q: advises\n%s\nwant\n%s", c.src, got, c.want)
		}
	}
}

// TestForkKeys: keys of patched versions of knockd 0.8.
func TestForkKeys(t *testing.T) {
	a := parse(t, "[a]\nsequence = 1,9\nseq_cooldown = 5 # s\n")
	b := parse(t, "[a]\nsequence = 1,9\ncooldown = 5\ncooldown_scope = door\n")
	if !a.Doors[0].Equal(b.Doors[0]) {
		t.Errorf("%+v, want %+v", a.Doors[0], b.Doors[0])
	}
	for _, keys := range []string{"cooldown = 5\nseq_cooldown = 5\n", "seq_cooldown = 5\ncooldown_scope = door\ncooldown = 5\n"} {
		if _, err := Parse("k.conf", []byte("[a]\nsequence = 1,9\n"+keys)); err == nil || !strings.Contains(err.Error(), "seq_cooldown: stands for cooldown and cooldown_scope = door: cannot be with cooldown") {
			t.Errorf("%s: %v", keys, err)
		}
	}
	if _, err := Parse("k.conf", []byte("[a]\nspa_key_file = f\nseq_cooldown = 5\n")); err == nil {
		t.Error("a door with keys has it")
	}
	for _, c := range []struct {
		src    string
		forgiv []bool
	}{
		{"[options]\nAllowDuplicates\n[a]\nsequence = 1,9\n[b]\nsequence = 2,9\nrepeats = fail\n", []bool{true, false}},
		{"[a]\nsequence = 1,9\n[options]\nallowduplicates = yes\n", []bool{true}},
		{"[options]\nAllowDuplicates = no\n[a]\nsequence = 1,9\n", []bool{false}},
		{"[b]\nsequence = 2,9\n[a]\nsequence = 1,9\nAllowDuplicates\n", []bool{true, true}},
	} {
		config := parse(t, c.src)
		var got []bool
		for _, d := range config.Doors {
			got = append(got, d.ForgiveRepeats)
		}
		if !slices.Equal(got, c.forgiv) || !strings.Contains(fmt.Sprint(config.Warnings), "forgives a further hit on the latest step alone, not on earlier ones") {
			t.Errorf("%q: %v, warns %q", c.src, got, config.Warnings)
		}
	}
	if _, err := Parse("k.conf", []byte("[options]\nAllowDuplicates = maybe\n[a]\nsequence = 1\nAllowDuplicates = perhaps\n")); err == nil || strings.Count(err.Error(), "must be yes or no") != 2 {
		t.Error(err)
	}
}

// TestUnknownKeys: each message proposes the key that is nearest.
func TestUnknownKeys(t *testing.T) {
	for name, want := range map[string]string{
		"stop_command6": "did you mean stop_command_6?", "start_command6": "did you mean start_command_6?", "startcommand": "did you mean start_command?",
		"sequense": "did you mean sequence?", "seq-timeout": "did you mean seq_timeout?", "time_out": "did you mean timeout?",
		"tcp_flags": "did you mean tcpflags?", "logfiles": "did you mean logfile, in [options]?", "use_syslog": "did you mean usesyslog, in [options]?",
		"onetime_sequences": "did you mean one_time_sequences?", "statedirectory": `the nearest known one is "statedir", in [options]`,
		"Open_Ports6": "did you mean open_ports?",
	} {
		_, err := Parse("k.conf", []byte("[a]\nsequence = 1\n"+name+" = x\n"))
		if want = "k.conf:3: [a] " + name + ": unknown key: " + want; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	_, err := Parse("k.conf", []byte("[a]\nsequence = 1\nxyzzyplugh = x\n"))
	if err == nil || !strings.Contains(err.Error(), "xyzzyplugh: unknown key: the nearest known one is \"") {
		t.Error(err)
	}
	_, err = Parse("k.conf", []byte("[options]\n"+strings.Repeat("colour = red\n", maxProposals+1)))
	if n := strings.Count(err.Error(), "nearest"); n != maxProposals {
		t.Errorf("%d proposals", n)
	}
}

// TestContinuedLines: only the line behind a backslash is told so.
func TestContinuedLines(t *testing.T) {
	const line = "a line cannot be continued, and line %d ends in a backslash: write all of it on one line"
	for _, c := range []struct{ rest, want string }{
		{"\tip saddr\n", "k.conf:4: [a] " + fmt.Sprintf(line, 3)},
		{"--dport = 22 \\\n-j ACCEPT\n", "k.conf:4: [a] " + fmt.Sprintf(line, 3) + "\nk.conf:5: [a] " + fmt.Sprintf(line, 4)},
		{"; then\n", "k.conf:4: " + fmt.Sprintf(line, 3)},
		{"colour = red\n", "k.conf:4: [a] " + fmt.Sprintf(line, 3)},
		{"\nip saddr\n", `k.conf:5: [a] ip: unknown key: the nearest known one is "new"`},
		{"cmd_timeout = 5\n", "<nil>"},
	} {
		_, err := Parse("k.conf", []byte("[a]\nsequence = 1,9\ncommand = x \\\n"+c.rest))
		if fmt.Sprint(err) != c.want {
			t.Errorf("%q: %v, want %s", c.rest, err, c.want)
		}
	}
}

func TestUCI(t *testing.T) {
	for src, want := range map[string]string{
		"config x\n\toption y 'z'\n": "k.conf:1: " + errUCI.Error(),
		"# c\n\npackage knockd\n\nconfig x 'y'\nz = 1\n": "k.conf:3: " + errUCI.Error() +
			"\nk.conf:6: stands before the first section: each key must belong to one, [options] or [a door's name]",
		"config = x\n": "k.conf:1: stands before the first section: each key must belong to one, [options] or [a door's name]",
		"option\n":     "k.conf:1: stands before the first section: each key must belong to one, [options] or [a door's name]",
	} {
		if _, err := Parse("k.conf", []byte(src)); fmt.Sprint(err) != want {
			t.Errorf("%q: %v, want %s", src, err, want)
		}
	}
}
