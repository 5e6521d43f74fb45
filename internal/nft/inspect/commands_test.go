package inspect

import (
	"os"
	"testing"

	"knockd/internal/nettest"
	"knockd/internal/nft"
)

// TestExamineRules: what becomes of a knocker whom a command's rule accepts.
func TestExamineRules(t *testing.T) {
	t.Parallel()
	const (
		behind = "door ssh: -A puts its rule for tcp/22 behind one of chain INPUT that drops everything: say -I INPUT"
		other  = "door ssh: tcp/22 stays closed: chain input of table inet filter drops it, whatever iptables lets in; let the door open it there"
	)
	drop := []string{"iptables-nft", "-A", "INPUT", "-j", "DROP"}
	for _, c := range []struct {
		name     string
		rules    string
		commands [][]string
		rule     Rule
		want     string
	}{
		{name: "nothing", rule: Rule{Chain: "INPUT", Append: true}},
		{name: "behind", commands: [][]string{drop}, rule: Rule{Chain: "INPUT", Append: true}, want: behind},
		{name: "before", commands: [][]string{drop}, rule: Rule{Chain: "INPUT"}},
		{name: "a chain of its own", commands: [][]string{drop}, rule: Rule{Chain: "KNOCK", Append: true}},
		{name: "policy", commands: [][]string{{"iptables-nft", "-P", "INPUT", "DROP"}}, rule: Rule{Chain: "INPUT", Append: true}},
		{name: "others refused", commands: [][]string{{"iptables-nft", "-A", "INPUT", "-p", "tcp", "--dport", "23", "-j", "REJECT"}}, rule: Rule{Chain: "INPUT", Append: true}},
		{name: "the other family", commands: [][]string{drop}, rule: Rule{V6: true, Chain: "INPUT", Append: true}},
		{name: "IPv6", commands: [][]string{{"ip6tables-nft", "-A", "INPUT", "-j", "REJECT"}}, rule: Rule{V6: true, Chain: "INPUT", Append: true}, want: behind},
		{name: "another table", rules: dropHost, rule: Rule{Chain: "INPUT"}, want: other},
		{name: "raw", rules: "table inet raw { chain pre { type filter hook prerouting priority raw; policy accept; tcp dport 22 drop; }; }", rule: Rule{Chain: "INPUT"},
			want: "door ssh: tcp/22 stays closed: chain pre of table inet raw drops it before the rule of the command is asked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, o := hostWith(t, c.rules, c.commands)
			c.rule.Door, c.rule.Ports = "ssh", ports(t, "tcp/22")
			var got []string
			err := h.Do(func() (err error) {
				got, _, err = ExamineRules(o, []Rule{c.rule})
				return err
			})
			if err != nil || lines(got) != c.want {
				t.Errorf("%v\ngot:\n%s\nwant:\n%s", err, lines(got), c.want)
			}
		})
	}
}

// hostWith makes a host with rules.
func hostWith(t *testing.T, rules string, commands [][]string) (*nettest.Host, nft.Options) {
	t.Helper()
	h := nettest.NewHost(t, "host")
	nettest.NeedProgram(t, "nft")
	if rules != "" {
		h.Load(rules)
	}
	for _, c := range commands {
		nettest.NeedProgram(t, c[0])
		h.Run(c[0], c[1:]...)
	}
	ns, err := os.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return h, nft.Options{NetNS: int(ns.Fd())}
}

// TestReached: which ports somebody reaches without a knock.
func TestReached(t *testing.T) {
	t.Parallel()
	const known = "table inet filter { chain input { type filter hook input priority filter; policy drop; ip saddr 192.0.2.0/24 tcp dport 22 accept; }; }"
	for _, c := range []struct{ name, rules, want string }{
		{"no rules", "", "tcp/22 tcp/80"},
		{"drop", dropHost, "tcp/80"},
		{"those of a network", known, "tcp/22"},
		{"a network that is trusted whatever it asks for", trusting, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, o := hostWith(t, c.rules, nil)
			got := ""
			err := h.Do(func() error {
				reached, err := Reached(o, ports(t, "tcp/22,tcp/80"))
				for i, r := range reached {
					if i > 0 {
						got += " "
					}
					got += r.String()
				}
				return err
			})
			if err != nil || got != c.want {
				t.Errorf("%v: %q, want %q", err, got, c.want)
			}
		})
	}
}
