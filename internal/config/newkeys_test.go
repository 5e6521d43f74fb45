package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// TestNewKeys prints all that a file with every new key is read to.
func TestNewKeys(t *testing.T) {
	src, err := os.ReadFile("testdata/newkeys.conf")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse("newkeys.conf", src)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "mode %s, table %v, hook %s, mark %v, sets %v, %v\nmax_failures %+v, never_ignore %v\n",
		c.NftMode, c.NftTable, c.GuardHook, c.NftMark, c.NftSet, c.NftSet6, c.MaxFailures, c.NeverIgnore)
	for _, d := range c.Doors {
		fmt.Fprintf(&b, "\n[%s] %s %v\n", d.Name, FormatSequence(d.Sequence), d.Flags)
		open := fmt.Sprint(d.Open)
		if len(d.OpenNamed) > 0 {
			open = fmt.Sprintf("[%v/*]", d.OpenNamed[0])
		}
		list := ""
		for _, a := range d.Actions {
			list += a.Args.Value
		}
		fmt.Fprintf(&b, "open %v, sets %v, %v, recent %q, prefixes %d, %d, close %q\n",
			open, d.NftSet, d.NftSet6, list, d.OpenPrefix4, d.OpenPrefix6, d.Close)
		fmt.Fprintf(&b, "strict %v but %v, forgive %v, allow %v, deny %v, cooldown %v for all %v, lengths %+v, open_ports %v\n",
			d.Strict, d.StrictIgnore, d.ForgiveRepeats, d.Allow, d.Deny, d.Cooldown, d.CooldownForAll, d.PacketLength, d.OpenPorts)
		if s := d.SPA; s != nil {
			fmt.Fprintf(&b, "keys %s, ports %v, inside %v, max %v, hmac %q, allow %v, deny %v, user %q, source %v, expires %s, to %v, age %v\n",
				s.KeyFile, s.Ports, s.AllowInside, s.MaxTimeout, s.HMAC, s.AllowPorts, s.DenyPorts, s.RequireUser, s.RequireSource,
				s.Expires.Format("2006-01-02 15:04"), s.Destination, s.MaxAge)
			fmt.Fprintf(&b, "ipv6 %v, over %v behind %v, to %v only %q, masquerade %v\n", s.IPv6, s.Transports, s.TrustedProxies, s.NATAllow, s.NATOnly, s.NATMasquerade)
		}
	}
	fmt.Fprintf(&b, "\nWarnings\n%s\n\nAdvice\n%s\n\nTrace\n%s\n",
		strings.Join(c.Warnings, "\n"), strings.Join(c.Advice, "\n"), strings.Join(c.Trace, "\n"))
	nettest.Golden(t, "testdata/newkeys.txt", b.String())

	again, err := Parse("newkeys.conf", src)
	if err != nil || !slices.EqualFunc(c.Doors, again.Doors, (*Door).Equal) {
		t.Errorf("the same file has other doors, or %v", err)
	}
}

func TestAdvice(t *testing.T) {
	const differ = "k.conf:2: [a] sequence: steps 1 and 2 differ by 1: a port scan takes both; choose ports far apart"
	const scan = "k.conf:2: [a] sequence: steps 1 and 2 are neighbours among the 1,000 ports that nmap scans first: choose others"
	for _, c := range []struct{ sequence, want string }{
		{"7000,8000,9001", ""},
		{"7000,7001", differ},
		{"7001,7000", differ},
		{"7000:udp,7001:udp", differ},
		{"7000:tcp,7001:udp", ""},
		{"7000,7000", ""},
		{"7002,7004", scan}, // nmap does not scan 7003
		{"7004,7002", scan},
		{"65129,65389", scan}, // the last two
		{"7002:udp,7004:udp", ""},
		{"7002,7007", ""},
		{"7999,*\nopen_ports = 8000-8100", differ},
		{"8101,*\nopen_ports = 8000-8100", differ},
		{"8050,*\nopen_ports = 8000-8100", differ},
		{"8200,*\nopen_ports = 8000-8100", ""},
		{"8013,*\nopen_ports = 9005", ""}, // which nmap does not scan
	} {
		all := parse(t, "[a]\nsequence = "+c.sequence+"\n").Advice
		got := strings.Join(slices.DeleteFunc(all, func(a string) bool { return !strings.Contains(a, "steps 1 and 2") }), "\n")
		if got != c.want {
			t.Errorf("%s: advises\n%s\nwant\n%s", c.sequence, got, c.want)
		}
	}
}

// TestStrictFlags: a strict door's flags must leave established connections
// alone.
func TestStrictFlags(t *testing.T) {
	for flags, ok := range map[string]bool{
		"syn": true, "syn,ack": true, "syn,!ack": true, "!ack,fin": false, "fin,!ack,!rst": true, "fin": false, "ack": false,
		"psh,urg,fin,!ack,!rst": true, "rst": false, "urg": false, "!syn": false, "!ack,!rst": true, "!ack": false,
	} {
		_, err := Parse("k.conf", []byte("[a]\nsequence = 7000,9000\nstrict = yes\ntcpflags = "+flags+"\n"))
		if (err == nil) != ok {
			t.Errorf("%s: %v", flags, err)
		}
	}
	c := parse(t, "[a]\nsequence = 7000,9000\nstrict = yes\n")
	if want := (knock.FlagMatch{Set: knock.SYN, Clear: knock.ACK}); c.Doors[0].Flags != want {
		t.Errorf("flags %v, want %v", c.Doors[0].Flags, want)
	}
}

// TestLinesOfAFile: what a line of a one-time file may be depends on its door.
func TestLinesOfAFile(t *testing.T) {
	for _, c := range []struct{ keys, line, want string }{
		{"", "1,2:udp", "1:tcp,2:udp"},
		{"", "1,*", `step 2: port "*": must be a number between 1 and 65535`},
		{"open_ports = 8000-8100\n", "1,*:udp", "1:tcp,*:udp"},
		{"strict = yes\n", "1,9", "1:tcp,9:tcp"},
		{"strict = yes\n", "1,2", "steps 1 and 2 are equal or differ by 1: a port scan takes both; a strict door's must be further apart"},
	} {
		d := parse(t, "[a]\none_time_sequences = f\n"+c.keys).Doors[0]
		steps, err := d.ParseSequence(c.line)
		got := FormatSequence(steps)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s%s: %s, want %s", c.keys, c.line, got, c.want)
		}
	}
}

// TestRescue: the faults of rescue, and where it has no effect.
func TestRescue(t *testing.T) {
	const guarded = "[a]\nsequence = 1\nopen = tcp/22\n"
	for _, tt := range []struct{ value, rest, fault, warning string }{
		{"198.51.100.0/24, 2001:db8::/48, 192.0.2.1", guarded, "", ""},
		{"", guarded, `"": must be an IPv4 or IPv6 address or network, as 192.0.2.0/24`, ""},
		{"localhost", guarded, `"localhost": must be an IPv4 or IPv6 address or network, as 192.0.2.0/24`, ""},
		{"192.0.2.1/24", guarded, "192.0.2.1/24: has bits set behind its length, must be 192.0.2.0/24", ""},
		{"0.0.0.0/0", guarded, "0.0.0.0/0: lets everybody in: must be the few addresses that you can always come from", ""},
		{"192.0.2.1, ::/0", guarded, "::/0: lets everybody in: must be the few addresses that you can always come from", ""},
		{"128.0.0.0/1, 0.0.0.0/2, 64.0.0.0/2", guarded, "0.0.0.0/0: lets everybody in: must be the few addresses that you can always come from", ""},
		{"128.0.0.0/1, 0.0.0.0/2, 64.0.0.0/3", guarded, "", ""},
		{strings.Repeat("192.0.2.1,", 64) + "192.0.2.1", guarded, "65 addresses: must be at most 64", ""},
		{"192.0.2.1", "nft_mode = mark\n" + guarded, "", "has no effect with nft_mode = mark, which closes nothing: accept these addresses in the host's own rules"},
		{"192.0.2.1", "nft_mode = set\nnft_set = inet f s\nnft_set_6 = inet f t\n" + guarded, "", "has no effect with nft_mode = set, which closes nothing: accept these addresses in the host's own rules"},
		{"192.0.2.1", "[a]\nsequence = 1\nstart_command = x\n", "", "has no effect: no door has open, and so nothing is closed"},
	} {
		c, err := Parse("k.conf", []byte("[options]\nrescue = "+tt.value+"\n"+tt.rest))
		got, warnings := "", ""
		if err != nil {
			got = err.Error()
		} else {
			warnings = strings.Join(c.Warnings, "\n")
		}
		const place = "k.conf:2: [options] rescue: "
		if tt.fault != "" && got != place+tt.fault || tt.fault == "" && got != "" {
			t.Errorf("%s: %s, want %s", tt.value, got, tt.fault)
		}
		if tt.warning != "" && warnings != place+tt.warning || tt.warning == "" && warnings != "" {
			t.Errorf("%s: %s, want %s", tt.value, warnings, tt.warning)
		}
	}
}
