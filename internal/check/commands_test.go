package check

import (
	"strings"
	"testing"

	"knockd/internal/config"
)

// parse reads a configuration.
func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	conf, err := config.Parse("k.conf", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// texts are findings without the place of their door.
func texts(findings []Finding) string {
	var all []string
	for _, f := range findings {
		_, text, _ := strings.Cut(f.Text, "] ")
		all = append(all, text)
	}
	return strings.Join(all, "\n")
}

// adviceOf is what there is to say of commands alone.
func adviceOf(conf *config.Config) []Finding {
	all, unread := readCommands(conf)
	return append(unread, pairs(conf, all)...)
}

// TestPairs: what a start command adds, and what takes it away again.
func TestPairs(t *testing.T) {
	const (
		add     = "/sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"
		remove  = "/sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"
		add6    = "ip6tables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"
		remove6 = "ip6tables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"
		noStop  = "start_command: nothing takes away again what it adds: say stop_command = "
		inverse = "stop_command: is not the inverse of start_command"
	)
	for _, c := range []struct{ start, stop, want string }{
		// iptables
		{add, remove, ""},
		{add, "", noStop + remove},
		{"iptables -I INPUT 1 -s %IP% -j ACCEPT", "", noStop + "iptables -D INPUT -s %IP% -j ACCEPT"},
		{"iptables -I INPUT 1 -s %IP% -j ACCEPT", "iptables -D INPUT -j ACCEPT --source=%IP%/32 -w 5", ""},
		{"iptables -w -A INPUT -p TCP -m tcp --dport 22 -s %IP% -j ACCEPT", "iptables --delete INPUT --src %IP% --proto tcp --destination-port 22 --jump ACCEPT", ""},
		{"iptables -A INPUT ! -i eth1 -s %IP% -j ACCEPT", "iptables -D INPUT -s %IP% ! -i eth1 -j ACCEPT", ""},
		{"iptables -A INPUT -s %IP% -m comment --comment 'a b' -j ACCEPT", `iptables -D INPUT -s %IP% -m comment --comment "a b" -j ACCEPT`, ""},
		{"exec sudo -n -u root /sbin/iptables -A INPUT -s %IP% -j ACCEPT", "iptables -D INPUT -s %IP% -j ACCEPT", ""},
		{add, "iptables -D INPUT -s %IP% -p tcp --dport 23 -j ACCEPT", inverse + ", since it has --dport 23 and not --dport 22: say stop_command = " + remove},
		{add, "iptables -D INPUT -s %IP% -p tcp -j ACCEPT", inverse + ", since it has no --dport 22: say stop_command = " + remove},
		{add, "iptables -D INPUT -s %IP% -p tcp --dport 22 -i eth0 -j ACCEPT", inverse + ", which has no -i eth0: say stop_command = " + remove},
		{add, "iptables -D FORWARD -s %IP% -p tcp --dport 22 -j ACCEPT", inverse + ", since it has chain FORWARD of table filter and not chain INPUT of table filter: say stop_command = " + remove},
		{"iptables -t nat -A PREROUTING -s %IP% -p tcp --dport 22 -j REDIRECT --to-ports 2222", "iptables -D PREROUTING -s %IP% -p tcp --dport 22 -j REDIRECT --to-ports 2222",
			inverse + ", since it has chain PREROUTING of table filter and not chain PREROUTING of table nat: say stop_command = iptables -t nat -D PREROUTING -s %IP% -p tcp --dport 22 -j REDIRECT --to-ports 2222"},
		{add, "ip6tables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", "stop_command: takes away only a part of what start_command adds: let it run " + remove + " too"},
		{add, add, "stop_command: takes nothing away of what start_command adds: say stop_command = " + remove},
		{add, "iptables -D INPUT 1", ""},        // whatever is there
		{add, "/usr/local/sbin/close %IP%", ""}, // may know
		{"/usr/local/sbin/open %IP%", "", ""},   // may need none
		{add + "; " + add6, remove, "stop_command: takes away only a part of what start_command adds: let it run " + remove6 + " too"},
		{add + "; " + add6, remove + " && " + remove6, ""},
		{"iptables -N x", "", ""},
		{"iptables -C INPUT -s %IP% -j ACCEPT || iptables -A INPUT -s %IP% -j ACCEPT", "iptables -D INPUT -s %IP% -j ACCEPT", ""},
		{"iptables -A INPUT -s $(cat /x) -j ACCEPT", "", ""}, // who knows

		// ufw
		{"ufw allow from %IP% to any port 22 proto tcp", "ufw delete allow from %IP% to any port 22 proto tcp", ""},
		{"ufw insert 1 allow from %IP% comment 'a knock'", "ufw --force delete allow from %IP%", ""},
		{"ufw allow from %IP% to any port 22", "", noStop + "ufw delete allow from %IP% to any port 22"},
		{"ufw allow from %IP% to any port 22", "ufw delete allow from %IP% to any port 23", inverse + ", since it has 23 and not 22: say stop_command = ufw delete allow from %IP% to any port 22"},
		{"ufw route allow from %IP%", "ufw route delete allow from %IP%", ""},
		{"ufw allow from %IP%", "ufw delete 1", ""},
		{"ufw reload", "", ""},

		// firewalld
		{"firewall-cmd --zone=public --add-source=%IP%", "firewall-cmd --zone public --remove-source %IP%", ""},
		{"firewall-cmd --add-rich-rule='rule family=ipv4 source address=%IP% accept'", "", noStop + "firewall-cmd '--remove-rich-rule=rule family=ipv4 source address=%IP% accept'"},
		{"firewall-cmd --add-source=%IP% --timeout=30", "", ""},
		{"firewall-cmd --zone=home --add-source=%IP%", "firewall-cmd --remove-source=%IP%", inverse + ", since it has no --zone=home: say stop_command = firewall-cmd --zone=home --remove-source=%IP%"},
		{"firewall-cmd --reload", "", ""},

		// nft
		{"nft add element inet filter ok { %IP% }", "nft delete element inet filter ok {%IP%}", ""},
		{"nft 'add element filter ok { %IP% timeout 30s }'", "", ""},
		{"nft add element filter ok { %IP% }", "nft delete element ip filter other { %IP% }",
			inverse + ", since it has set other of table ip filter and not set ok of table ip filter: say stop_command = nft delete element ip filter ok { %IP% }"},
		{"nft add element inet filter ok { %IP% }", "", noStop + "nft delete element inet filter ok { %IP% }"},
		{"nft add rule inet filter input ip saddr %IP% accept", "", "start_command: nothing takes away again what it adds: a rule can only be deleted by its handle; let it add an element to a set, or say open in its place"},
		{"nft add rule inet filter input ip saddr %IP% accept", "nft delete rule inet filter input handle 5", ""},

		// ipset
		{"ipset add ok %IP% timeout 30 -exist", "", ""},
		{"ipset add ok %IP%", "ipset del ok %IP%", ""},
		{"ipset add ok %IP%", "ipset del other %IP%", inverse + ", since it has set other and not set ok: say stop_command = ipset del ok %IP%"},

		{"if true", "", "start_command: the shell cannot read it: `if <cond>` must be followed by `then`"},
		{add, "echo 'x", "stop_command: the shell cannot read it: reached EOF without closing quote `'`"},
	} {
		text := "[a]\nsequence = 1\nstart_command = " + c.start + "\nstart_command_6 =\n"
		if c.stop != "" {
			text += "stop_command = " + c.stop + "\nstop_command_6 =\n"
		}
		if got := texts(adviceOf(parse(t, text))); got != c.want {
			t.Errorf("%s, then %s:\n%s\nwant\n%s", c.start, c.stop, got, c.want)
		}
	}
}

// TestPairsOfFamilies: IPv6 has commands of its own, or the same.
func TestPairsOfFamilies(t *testing.T) {
	const (
		four    = "start_command = iptables -A INPUT -s %IP% -j ACCEPT\nstop_command = iptables -D INPUT -s %IP% -j ACCEPT\n"
		six     = "start_command_6 = ip6tables -A INPUT -s %IP% -j ACCEPT\n"
		nothing = ": nothing takes away again what it adds: say stop_command_6 = "
	)
	for keys, want := range map[string]string{
		four:                              "",
		four + six:                        "start_command_6: stop_command, which runs for it too, does not take away what it adds: say stop_command_6 = ip6tables -D INPUT -s %IP% -j ACCEPT",
		four + six + "stop_command_6 =\n": "start_command_6" + nothing + "ip6tables -D INPUT -s %IP% -j ACCEPT",
		four + six + "stop_command_6 = ip6tables -D INPUT -s %IP% -j ACCEPT\n": "",
		four + "stop_command_6 =\n":                                     "start_command" + nothing + "iptables -D INPUT -s %IP% -j ACCEPT",
		six + "stop_command_6 = ip6tables -D INPUT -s %IP% -j ACCEPT\n": "",
		six: "start_command_6" + nothing + "ip6tables -D INPUT -s %IP% -j ACCEPT",
	} {
		if got := texts(adviceOf(parse(t, "[a]\nsequence = 1\n"+keys))); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", keys, got, want)
		}
	}
}

// TestClosedElsewhere: another door may close what a door opens.
func TestClosedElsewhere(t *testing.T) {
	const open = "[open]\nsequence = 1\nstart_command = iptables -A INPUT -s %IP% -j ACCEPT\n"
	for rest, closes := range map[string]bool{
		"": false,
		"[close]\nsequence = 2\nstart_command = iptables -D INPUT -s %IP% -j ACCEPT\n": true,
		"[close]\nsequence = 2\nstart_command = iptables -D INPUT -s %IP% -j DROP\n":   false,
		"[close]\nsequence = 2\nclose = open\n":                                        true,
	} {
		if got := texts(adviceOf(parse(t, open+rest))); (got == "") != closes {
			t.Errorf("%s: %s", rest, got)
		}
	}
}

// FuzzCommands: whatever a command is, it is read without panic, and what is
// proposed as the inverse of an effect is one.
func FuzzCommands(f *testing.F) {
	for _, s := range []string{"iptables -I INPUT 1 -s %IP% ! -i x -j ACCEPT", "ufw route allow a", "firewall-cmd --add-x=y --zone z", "nft add element ip t s { x timeout 5s }",
		"ipset -exist add a b", "sudo -u x env A=b timeout 5 iptables -A", "if a; then b; fi", "a\\ b \"c\\$d\" $e `f`", "x() { y; }; x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseScript(text)
		if err != nil {
			return
		}
		for _, c := range s.calls {
			e, ok := effectOf(c)
			if !ok || e.inverse == nil || e.undo {
				continue
			}
			again, err := parseScript(shellText(e.inverse))
			if err != nil || len(again.calls) != 1 {
				t.Fatalf("%q: proposes %q: %v", text, e.inverse, err)
			}
			if o, ok := effectOf(again.calls[0]); !ok || !o.undoes(e) {
				t.Fatalf("%q: proposes %q, which is %+v of %+v", text, e.inverse, o, e)
			}
		}
	})
}
