package ruleset

import (
	"fmt"
	"strings"
	"testing"

	"knockd/internal/config"
)

func TestParseRule(t *testing.T) {
	for _, c := range []struct{ command, want string }{
		{"/sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", "add tcp/22"},
		{"iptables -I INPUT 1 -s %IP%/32 -p udp --dport 60001:60010 -j ACCEPT", "add udp/60001-60010"},
		{"ip6tables -w 5 -A INPUT -s %IP% -p tcp -m tcp --syn --dport ssh -j ACCEPT", "add tcp/22"},
		{"iptables -A INPUT -s %IP% -p tcp -m multiport --dports 80,443,8000:8010 -j ACCEPT", "add tcp/80 tcp/443 tcp/8000-8010"},
		{"iptables -t filter -D INPUT -p tcp -m conntrack --ctstate NEW --source %IP% --destination-port 22 --jump ACCEPT", "delete tcp/22"},
		{"iptables -A INPUT -s %IP% --dport 22 -j ACCEPT", "add tcp/22 (assumed)"},
		{"iptables -A INPUT -s %IP% -p tcp --dport 22 -j DROP", "does not end in -j ACCEPT"},
		{"iptables -A INPUT -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT", "does not open to the knocker alone (-s %IP%)"},
		{"iptables -A INPUT ! -s %IP% -p tcp --dport 22 -j ACCEPT", "has an option that is not understood: !"},
		{"iptables -A INPUT -s %IP% -p icmp -j ACCEPT", `is about the protocol "icmp"`},
		{"iptables -A INPUT -s %IP% -p tcp -j ACCEPT", "names no port (--dport)"},
		{"iptables -A INPUT -s %IP% -p tcp --dport 0 -j ACCEPT", `names a port that is not understood: "0"`},
		{"iptables -A INPUT -s %IP% -p tcp --dport 30:20 -j ACCEPT", `names a port that is not understood: "30:20"`},
		{"iptables -A INPUT -s %IP% -p tcp --dport 70000 -j ACCEPT", `names a port that is not understood: "70000"`},
		{"iptables -A INPUT -i ppp+ -s %IP% -p tcp --dport 22 -j ACCEPT", "add tcp/22 on ppp+"},
		{"iptables -A INPUT -i + -s %IP% -p tcp --dport 22 -j ACCEPT", "add tcp/22"},
		{"iptables -A INPUT -i eth0/1 -s %IP% -p tcp --dport 22 -j ACCEPT", `names an interface that cannot be one: "eth0/1"`},
		{"iptables -A INPUT -m socket -s %IP% -p tcp --dport 22 -j ACCEPT", "has a match that is not understood: -m socket"},
		{"iptables -A INPUT -m state --state RELATED -s %IP% -p tcp --dport 22 -j ACCEPT", "lets in no new connection"},
		{"iptables -A INPUT -m state --state NEW,ESTABLISHED -s %IP% -p tcp --dport 22 -j ACCEPT", "add tcp/22"},
		{"iptables -A FORWARD -s %IP% -p tcp --dport 22 -j ACCEPT", "is about packets that are not for this host (FORWARD)"},
		{"iptables -F", "has an option that is not understood: -F"},
		{"iptables -s %IP% -p tcp --dport 22 -j ACCEPT", "adds no rule (-A) and deletes none (-D)"},
		{"iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT && mail", "is more than one plain iptables command"},
		{"ufw allow from %IP% to any port 22", "is no iptables command"},
		{"", "is no iptables command"},
	} {
		r, err := parseRule(c.command)
		got := "add"
		if r.delete {
			got = "delete"
		}
		for _, p := range r.ports {
			got += " " + p.String()
		}
		if r.in != "" {
			got += " on " + r.in
		}
		if r.assumedTCP {
			got += " (assumed)"
		}
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwant %s", c.command, got, c.want)
		}
	}
}

// TestClosingCommand: -D closes the door whose -A it undoes, no other.
func TestClosingCommand(t *testing.T) {
	const text = "[a]\nsequence=1,2,3\nstart_command=iptables -A INPUT -s %%IP%% -p tcp --dport 22 -j ACCEPT\n" +
		"[b]\nsequence=1,2,4\nstart_command=iptables -A INPUT -s %%IP%% -p tcp --dport 23 -j ACCEPT\n" +
		"[c]\nsequence=3,2,1\nstart_command=%s\n"
	for command, want := range map[string]string{
		"iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT":         "[a]",
		"/sbin/iptables -D INPUT -p tcp -s %IP% --dport 23 -j ACCEPT":   "[b]",
		"iptables -D INPUT -i eth0 -s %IP% -p tcp --dport 22 -j ACCEPT": "deletes a rule that no door's start_command adds",
		"iptables -D FORWARD -s %IP% -p tcp --dport 22 -j ACCEPT":       "deletes a rule that no door's start_command adds",
		"iptables -D INPUT -s %IP% -p udp --dport 22 -j ACCEPT":         "deletes a rule that no door's start_command adds",
	} {
		c, err := config.Parse("x", fmt.Appendf(nil, text, command))
		if err != nil {
			t.Fatal(err)
		}
		doors, _, err := FromConfig(c, nil)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", command, err)
			}
		} else if got := fmt.Sprint(doors[2].Closes); got != want {
			t.Errorf("%s: closes %s, want %s", command, got, want)
		}
	}
}

// TestMaxFailures: what knockd would ignore must not open.
func TestMaxFailures(t *testing.T) {
	c, err := config.Parse("x", []byte("[options]\nmax_failures=20 / 60s, 10m\n[a]\nsequence=1,5,9\nopen=tcp/22\n"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "[options] max_failures: a ruleset cannot do that; leave the doors to knockd"
	if _, _, err := FromConfig(c, nil); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func FuzzParseRule(f *testing.F) {
	f.Add("iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT")
	f.Add("iptables -D INPUT -w")
	f.Fuzz(func(t *testing.T, command string) {
		r, err := parseRule(command)
		if err == nil && len(r.ports) == 0 {
			t.Error("a rule without ports")
		}
		for _, p := range r.ports {
			if p.First == 0 || p.First > p.Last {
				t.Errorf("ports %v", p)
			}
		}
	})
}

// FuzzLogPrefix: what is encoded is decoded, and nothing in a name reaches
// the firewall's tools.
func FuzzLogPrefix(f *testing.F) {
	f.Add("openSSH", 3)
	f.Add("a\" %$: Stage 1\n", 1)
	f.Fuzz(func(t *testing.T, name string, stage int) {
		d := &door{Door: &Door{}}
		d.Name = name
		for _, p := range []string{d.stagePrefix(max(1, stage)), d.openedPrefix()} {
			if strings.ContainsAny(p, "\"'\\$\n`") {
				t.Errorf("prefix %q", p)
			}
			door, n, ok := ParseLogPrefix(p)
			if !ok || door != name || n > 0 != strings.Contains(p, ": Stage ") {
				t.Errorf("prefix %q became %q, %d, %v", p, door, n, ok)
			}
		}
		ParseLogPrefix(name)
	})
}
