package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestComments: behind a number, Interface and TCPFlags a comment may stand.
// Each is warned of once, with its key and text.
func TestComments(t *testing.T) {
	for _, c := range []struct{ key, value, bare, text string }{
		{"seq_timeout", "30 # seconds", "30", "# seconds"},
		{"Seq_Timeout", "30  ; a, b", "30", "; a, b"},
		{"timeout", "30 #", "30", "#"},
		{"seq_timeout", "30\t#typing takes time", "30", "#typing takes time"},
		{"seq_timeout", "30s", "30", "s"},
		{"seq_timeout", "+30 Sec", "+30", "Sec"},
		{"seq_timeout", "30seconds # x", "30", "seconds # x"},
		{"seq_timeout", "30 seconds ; x", "30", "seconds ; x"},
		{"cmd_timeout", "5 # x", "5", "# x"},
		{"cmd_timeout", "5sec", "5", "sec"},
		{"start_limit", "5 s # x", "5", "s # x"},
		{"cooldown", "60 seconds", "60", "seconds"},
		{"tcpflags", "syn # only", "syn", "# only"},
		{"tcpflags", "syn,!ack ;x", "syn,!ack", ";x"},
		{"sequence", "7000,8000:udp,9000 # the knock", "7000,8000:udp,9000", "# the knock"},
		{"sequence", "7000 , 8000 ; two", "7000 , 8000", "; two"},
		{"sequence", "7000,8000 # as before 2024: 7001", "7000,8000", "# as before *: *"},
		{"open", "tcp/22, udp/60001-60010 # mosh", "tcp/22, udp/60001-60010", "# mosh"},
		{"open_prefix_6", "64 # a network", "64", "# a network"},
		{"open_prefix_4", "24 # a, network", "24", "# a, network"},
		{"packet_length", "0-9 # x", "0-9", "# x"},
		{"cmd_timeout", "5 # " + strings.Repeat("x", 100), "5", "# " + strings.Repeat("x", 58) + "..."},
	} {
		door := func(value string) string {
			sequence := ""
			if c.key != "sequence" {
				sequence = "sequence = 7000,8000\n"
			}
			return "[a]\n" + sequence + c.key + " = " + value + "\n"
		}
		got, want := parse(t, door(c.value)), parse(t, door(c.bare))
		checkCut(t, c.key, c.value, c.text, got, want)
		if !got.Doors[0].Equal(want.Doors[0]) {
			t.Errorf("%s = %s: %+v, want %+v", c.key, c.value, got.Doors[0], want.Doors[0])
		}
	}
}

// checkCut compares the warnings and -D's lines of a value with and without
// what stands behind it.
func checkCut(t *testing.T, key, value, text string, got, want *Config) {
	t.Helper()
	if len(got.Warnings) != len(want.Warnings)+1 || len(got.Trace) != len(want.Trace) || strings.Contains(got.Trace[len(got.Trace)-1], "#") {
		t.Errorf("%s = %s: warns %q, traces %q; want one more warning than %q, traces %q", key, value, got.Warnings, got.Trace, want.Warnings, want.Trace)
		return
	}
	name := strings.ToLower(key)
	if name == "timeout" {
		name = "seq_timeout"
	}
	if w := got.Warnings[0]; !strings.Contains(w, "] "+name+": ") || !strings.Contains(w, fmt.Sprintf("%q behind the value is not read", text)) {
		t.Errorf("%s = %s: warns %s", key, value, w)
	}
}

func TestCommentsOfOptions(t *testing.T) {
	for _, c := range []struct{ key, value, bare, text string }{
		{"Interface", "eth0, wg0 # inside", "eth0, wg0", "# inside"},
		{"Interface", "eth0 ; see the switch", "eth0", "; see the switch"},
		{"start_limit", "5s", "5", "s"},
		{"MaxAttempts", "9 # few", "9", "# few"},
		{"LogRate", "9 # few, slow", "9", "# few, slow"},
		{"nft_mark", "0x10/0x10 # x", "0x10/0x10", "# x"},
		{"max_failures", "20 / 60s, 10m # x", "20 / 60s, 10m", "# x"},
	} {
		got, want := parse(t, "[options]\n"+c.key+" = "+c.value+"\n"), parse(t, "[options]\n"+c.key+" = "+c.bare+"\n")
		checkCut(t, c.key, c.value, c.text, got, want)
		if changed, _ := got.OptionsChanged(want); changed != nil || got.StartLimit != want.StartLimit {
			t.Errorf("%s = %s: %v", c.key, c.value, changed)
		}
	}
}

// TestCommentsInDropIns: there too.
func TestCommentsInDropIns(t *testing.T) {
	c, err := newParser("m").parse(source{"m", []byte("[a]\nsequence = 1\n")},
		[]source{{"d", []byte("[a]\ncmd_timeout = 7 # days\n[options]\nInterface = eth0 # x\n")}})
	want := `d:2: [a] cmd_timeout: "# days" behind the value is not read
d:4: [options] interface: "# x" behind the value is not read`
	if err != nil || c.Doors[0].CmdTimeout != 7*time.Second || strings.Join(c.Warnings, "\n") != want {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestCommentsOfKeys: the comments of a door with keys.
func TestCommentsOfKeys(t *testing.T) {
	src := "[a]\nspa_key_file = k\n"
	for _, line := range []string{"spa_port = 62201-62203 # x", "max_timeout = 9 s", "spa_max_age = 9 # x", "deny_ports = tcp/1 ;x", "expires = 2027-01-31 # x"} {
		src += line + "\n"
	}
	if c := parse(t, src); len(c.Warnings) != 5 || c.Doors[0].SPA.MaxTimeout != 9*time.Second {
		t.Errorf("%+v", c)
	}
}

// TestNoComments: what must not stand behind a value, and what the message
// says of it.
func TestNoComments(t *testing.T) {
	const number, seconds = "must be a number of whole seconds", " (knockd 0.8 reads "
	const one, own, blank = "knockd 0.8 reads one port", "(a comment must stand on a line of its own)", "(a comment must have a blank before it)"
	for _, c := range []struct{ line, want string }{
		{"sequence = 7000 8000 9000", "step 1: must be one port: ports are separated by commas (" + one + ")"},
		{"sequence = 7000;8000;9000", "step 1: must be one port: ports are separated by commas (" + one + ")"},
		{"sequence = 7000 ; 8000 ; 9000", `the comment "; * ; *" looks like ports, which must be separated by commas (` + one + ")"},
		{"sequence = 7000,8000 // the knock", "step 2: text behind a port: a comment begins with a blank and # or ; (knockd 0.8 reads 2 ports)"},
		{"sequence = 7000/8000", "step 1: must be one port: ports are separated by commas (" + one + ")"},
		{"sequence = 7000-7002", "step 1: a range: must be one port (" + one + ")"},
		{"sequence = 7000,8000 # a,b", `the comment "# a,b" must not hold a comma (knockd 0.8 reads 3 ports, 1 of them 0)`},
		{"sequence = 7000,8000 # a, 9000", `the comment "# a, *" must not hold a comma (knockd 0.8 reads 3 ports)`},
		{"sequence = 7000,8000:udp # text", `the comment "# text" must not follow a protocol (knockd 0.8 refuses it too)`},
		{"sequence = 7000,8000 # 22:udp", `the comment "# *:udp" must not hold :udp, which knockd 0.8 takes for the last step's protocol (knockd 0.8 reads 2 ports)`},
		{"sequence = 7000,8000# x", "step 2: port must be a number between 1 and 65535 (knockd 0.8 reads 2 ports) " + blank},
		{"sequence = # 7000", "step 1: port must be a number between 1 and 65535 (knockd 0.8 reads port 0) " + blank},
		{"sequence = 7000,8000, # x", `step 3: port "": must be a number between 1 and 65535 (knockd 0.8 reads 3 ports, 1 of them 0)`},
		{"seq_timeout = 1m", `"1m": ` + number + seconds + "1)"},
		{"seq_timeout = 1h # x", `"1h": ` + number + seconds + "1)"},
		{"cmd_timeout = ten", `"ten": ` + number + seconds + "0)"},
		{"cmd_timeout = 30 second", `"30 second": ` + number + seconds + "30)"},
		{"cmd_timeout = 30 (s)", `"30 (s)": ` + number + seconds + "30)"},
		{"cmd_timeout = 30#x", `"30#x": ` + number + seconds + "30) " + blank},
		{"cmd_timeout = -5 s", `"-5 s": ` + number + seconds + "-5)"},
		{"cmd_timeout = 3000000000", "3000000000: must be between 0 and 2147483647 seconds (knockd 0.8 reads -1294967296)"},
		{"cooldown = 1m", `"1m": ` + number},
		{"tcpflags = syn # a,ack", `the comment "# a,ack" must not hold a comma`},
		{"tcpflags = syn#x", `flag "syn#x": must be fin, syn, rst, psh, ack or urg, or one of them after a ! ` + blank},
		{"open = tcp/22 # ssh, mosh", `the comment "# ssh, mosh" must not hold a comma`},
		{"target = 192.0.2.1 # x", `"192.0.2.1 # x": must be an IPv4 or IPv6 address (a name is none) ` + own},
		{"allow = 192.0.2.0/24 # office", `"192.0.2.0/24 # office": must be an IPv4 or IPv6 address or network, as 192.0.2.0/24 ` + own},
		{"strict = yes # x", `"yes # x": must be yes or no ` + own},
	} {
		sequence := "sequence = 7000,8000\n"
		key, _, _ := strings.Cut(c.line, " ")
		if key == "sequence" {
			sequence = ""
		}
		_, err := Parse("k.conf", []byte("[a]\n"+c.line+"\n"+sequence))
		if want := "k.conf:2: [a] " + key + ": " + c.want; err == nil || err.Error() != want {
			t.Errorf("%s:\n%v, want\n%s", c.line, err, want)
		}
	}
	_, err := Parse("k.conf", []byte("[options]\nUseSyslog # x\nInterface = eth0 # a, eth1\n"))
	want := `k.conf:2: [options] UseSyslog: must stand alone on its line
k.conf:3: [options] interface: the comment "# a, eth1" must not hold a comma`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
}

// TestReferenceReads: what a message says of knockd 0.8 is so. It needs the
// package knockd.
func TestReferenceReads(t *testing.T) {
	reference := findReference(t)
	for _, value := range []string{"1m", "1h", "ten", "2.5", "-5", "0x10", "", "3000000000", "99999999999999999999", "+ 5", "30#x", "-99999999999999999999"} {
		trace, _ := referenceReads(t, reference, "[a]\nsequence = 1\nseq_timeout = "+value+"\n")
		if want := fmt.Sprintf("config: a: seq_timeout: %d", number08(value)); trace[len(trace)-1] != want {
			t.Errorf("%q: %q, want %q", value, trace, want)
		}
	}
	for _, value := range []string{"7000 8000 9000", "7000;8000", "7000-7002", "1,2 # a,b", "1,,2", "", ",", "ssh,http", "65536", "65535", "-1", "1:", "1:icmp", "1:tcp:x",
		"1:tcp # x", "1 # a:b", "1 # a:udp", "99999999999999999999", "-65536", strings.Repeat("1,", 32) + "1", strings.Repeat("1,", 31) + "1"} {
		trace, ok := referenceReads(t, reference, "[a]\nsequence = "+value+"\n")
		want, said := refused08, sequence08(value)
		if ok {
			_, steps, _ := strings.Cut(trace[len(trace)-1], "sequence: ")
			want = said08(strings.Split(steps, ","))
		}
		if said != want {
			t.Errorf("%q: said %s, want %s (%q)", value, said, want, trace)
		}
	}
}

// said08 words what knockd 0.8 printed of a sequence.
func said08(steps []string) string {
	zeros := 0
	for _, s := range steps {
		if strings.HasPrefix(s, "0:") {
			zeros++
		}
	}
	switch {
	case len(steps) == 1 && zeros == 1:
		return "knockd 0.8 reads port 0"
	case len(steps) == 1:
		return "knockd 0.8 reads one port"
	case zeros > 0:
		return fmt.Sprintf("knockd 0.8 reads %d ports, %d of them 0", len(steps), zeros)
	}
	return fmt.Sprintf("knockd 0.8 reads %d ports", len(steps))
}

// FuzzComment: a comment changes nothing but the warnings, or is a fault.
func FuzzComment(f *testing.F) {
	f.Add("sequence", "7000,8000", "# x")
	f.Add("seq_timeout", "7", "; x, y")
	f.Fuzz(func(t *testing.T, key, value, text string) {
		if strings.ContainsAny(key+value+text, "\n\x00") || text == "" || strings.ContainsAny(value, "#;") {
			t.Skip()
		}
		with, err := Parse("f", []byte("[a]\nsequence = 1\n"+key+" = "+value+" #"+text+"\n"))
		var faults *FaultError
		if err != nil && !errors.As(err, &faults) {
			t.Fatal(err)
		}
		without, bareErr := Parse("f", []byte("[a]\nsequence = 1\n"+key+" = "+value+"\n"))
		k := doorKeys.find(trim(key))
		if err != nil || k == nil || k.follow == nothing {
			return
		}
		if bareErr != nil || !with.Doors[0].Equal(without.Doors[0]) || len(with.Warnings) != len(without.Warnings)+1 {
			t.Errorf("%v, %+v and %+v", bareErr, with, without)
		}
	})
}
