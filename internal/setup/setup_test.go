package setup

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/netstate"
	"knockd/internal/nettest"
	"knockd/internal/nft/inspect"
	"knockd/internal/profile"
)

// always is a source of random numbers that is the same each time.
type always struct{ n uint32 }

func (a *always) Read(p []byte) (int, error) {
	for i := range p {
		a.n = a.n*1664525 + 1013904223
		p[i] = byte(a.n >> 24)
	}
	return len(p), nil
}

// box is a host with two interfaces, ssh and the default route on the first.
func box(firewall Firewall, v4, v6 Reach) *Host {
	return &Host{
		Name: "box1.example.org", Default: 2,
		Interfaces: []netstate.Interface{
			{Index: 2, Name: "ens3", Up: true, Addrs: addrs("203.0.113.5", "2001:db8::5", "fe80::1")},
			{Index: 3, Name: "wg0", Up: true, Addrs: addrs("10.8.0.1")},
		},
		Listening: []knock.Step{{Proto: knock.TCP, Port: 22}, {Proto: knock.UDP, Port: 5353}},
		Ephemeral: knock.PortRange{First: 32768, Last: 60999},
		Firewall:  firewall, Reach: [2]Reach{v4, v6},
	}
}

func addrs(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

var (
	open      = Reach{Reach: inspect.Reach{Access: inspect.Everybody}}
	some      = Reach{Reach: inspect.Reach{Access: inspect.Some}}
	forwarded = Reach{Reach: inspect.Reach{Access: inspect.Everybody, Forwarded: true}}
)

func dropped(family, table, chain string) Reach {
	return Reach{Reach: inspect.Reach{Chain: inspect.Chain{Table: knock.Table{Family: family, Name: table}, Name: chain, Input: true}}}
}

func legacyDrop(family string) Reach {
	r := dropped(family, "filter", "INPUT")
	r.Legacy = true
	return r
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	conf, err := config.Parse("/etc/knockd.conf", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// plan proposes the door ssh.
func plan(t *testing.T, h *Host, ask Ask, before string) (*Plan, error) {
	t.Helper()
	ask.File, ask.Exists = "/etc/knockd.conf", before != ""
	if ask.Port == 0 {
		ask.Port = 22
	}
	if ask.Name == "" {
		ask.Name = "ssh"
	}
	return Propose(h, ask, parse(t, before), &always{})
}

const nativeDoor = "[web]\nsequence = 1500,9,1700\nopen = tcp/443\n"

// TestModes: what the firewall does with the port decides how the door opens, and
// which rule the firewall lacks.
func TestModes(t *testing.T) {
	const mark = "-m mark --mark 0x100000/0x100000 -j ACCEPT"
	host := dropped("inet", "filter", "input")
	for name, c := range map[string]struct {
		host   *Host
		ask    Ask
		before string
		mode   config.NftMode
		rules  []string
		says   string // the third line
	}{
		"no firewall": {host: box(None, open, open), mode: config.NftGuard,
			says: "no firewall, so that everybody reaches tcp/22 today: the guard will close it, and a knock open it"},
		"ufw lets in": {host: box(UFW, open, open), mode: config.NftGuard,
			says: "the firewall (ufw) lets everybody reach tcp/22 today: the guard will close it, and a knock open it"},
		"lets some in": {host: box(Iptables, some, some), mode: config.NftGuard,
			says: "the firewall (iptables) lets some reach tcp/22 today, by address, interface or rate: the guard will close it to them too, and a knock open it to them alone"},
		"IPv4 alone": {host: box(Iptables, open, dropped("ip6", "filter", "INPUT")), mode: config.NftGuard,
			says: "the firewall (iptables) lets everybody reach tcp/22 today over IPv4 alone: the guard will close it, and a knock open it; over IPv6 it stays closed"},
		"nftables drops": {host: box(Nftables, host, host), mode: config.NftMark, rules: []string{"nft insert rule inet filter input 'meta mark & 0x100000 == 0x100000 accept'"},
			says: "the firewall (nftables) drops tcp/22: nft_mode = mark, and the door opens nothing before this is added there"},
		"iptables drops": {host: box(Iptables, dropped("ip", "filter", "INPUT"), dropped("ip6", "filter", "INPUT")), mode: config.NftMark,
			rules: []string{"iptables -I INPUT " + mark, "ip6tables -I INPUT " + mark}},
		"iptables-legacy drops": {host: box(IptablesLegacy, legacyDrop("ip"), legacyDrop("ip6")), mode: config.NftMark,
			rules: []string{"iptables-legacy -I INPUT " + mark, "ip6tables-legacy -I INPUT " + mark}},
		"ufw drops": {host: box(UFW, dropped("ip", "filter", "INPUT"), dropped("ip6", "filter", "INPUT")), mode: config.NftMark,
			rules: []string{"sed -i '/^# End required lines/i -A ufw-before-input " + mark + "' /etc/ufw/before.rules",
				"sed -i '/^# End required lines/i -A ufw6-before-input " + mark + "' /etc/ufw/before6.rules", "ufw reload"}},
		"firewalld drops": {host: box(Firewalld, dropped("inet", "firewalld", "filter_INPUT"), dropped("inet", "firewalld", "filter_INPUT")), mode: config.NftGuard,
			rules: []string{"firewall-cmd --add-port=22/tcp    # and, to keep it, with --permanent too"},
			says:  "the firewall (firewalld) drops tcp/22 and keeps no rule for marks: nft_mode = guard, and the door opens nothing before, once the guard has closed it, you say"},
		"a table of one's own drops, beside ufw": {host: box(UFW, host, host), mode: config.NftMark, rules: []string{"nft insert rule inet filter input 'meta mark & 0x100000 == 0x100000 accept'"},
			says: "the firewall (nftables) drops tcp/22: nft_mode = mark, and the door opens nothing before this is added there"},
		"a table of one's own drops, beside firewalld": {host: box(Firewalld, host, host), mode: config.NftMark, rules: []string{"nft insert rule inet filter input 'meta mark & 0x100000 == 0x100000 accept'"}},
		"drops, beside doors with guard": {host: box(Nftables, host, host), before: nativeDoor, mode: config.NftGuard,
			rules: []string{"nft insert rule inet filter input tcp dport 22 accept"},
			says:  "the firewall (nftables) drops tcp/22: nft_mode = guard, and the door opens nothing before, once the guard has closed it, you say"},
		"drops, beside doors with mark": {host: box(Nftables, host, host), before: "[options]\nnft_mode = mark\n" + nativeDoor, mode: config.NftMark,
			rules: []string{"nft insert rule inet filter input 'meta mark & 0x100000 == 0x100000 accept'"}},
		"guard is asked for": {host: box(Iptables, dropped("ip", "filter", "INPUT"), dropped("ip6", "filter", "INPUT")), ask: Ask{Mode: config.NftGuard, Port: 2222}, mode: config.NftGuard,
			rules: []string{"iptables -I INPUT -p tcp --dport 2222 -j ACCEPT", "ip6tables -I INPUT -p tcp --dport 2222 -j ACCEPT"}},
		"mark is asked for": {host: box(UFW, open, open), ask: Ask{Mode: config.NftMark}, mode: config.NftMark,
			rules: []string{"sed -i '/^# End required lines/i -A ufw-before-input " + mark + "' /etc/ufw/before.rules",
				"sed -i '/^# End required lines/i -A ufw6-before-input " + mark + "' /etc/ufw/before6.rules", "ufw reload"},
			says: "the firewall (ufw) lets everybody reach tcp/22 today, knock or not: nft_mode = mark closes nothing; drop it there, and add before"},
		"not known": {host: &Host{Unexamined: true}, ask: Ask{Mode: config.NftMark}, mode: config.NftMark,
			says: "what the firewall does with tcp/22 is not known: nft_mode = mark, as asked for"},
	} {
		p, err := plan(t, c.host, c.ask, c.before)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.Mode != c.mode || !slices.Equal(p.Rules(), c.rules) {
			t.Errorf("%s: %s\n%s\nwant %s\n%s", name, p.Mode, strings.Join(p.Rules(), "\n"), c.mode, strings.Join(c.rules, "\n"))
		}
		if got := strings.Split(p.Report("wrote", 0), "\n")[2]; c.says != "" && got != c.says {
			t.Errorf("%s: %s\nwant %s", name, got, c.says)
		}
		if made := parse(t, strings.ReplaceAll(p.Text, "\tnew ", "\t# new ")); made.NftMode != c.mode && c.before == "" {
			t.Errorf("%s: the configuration has %s:\n%s", name, made.NftMode, p.Text)
		}
	}
}

// TestConflicts: what a new door cannot stand beside.
func TestConflicts(t *testing.T) {
	for _, c := range []struct{ before, want string }{
		{"[ssh]\nsequence = 1\ncommand = true\n", "/etc/knockd.conf:1 has a door [ssh] already (name the new one: --name)"},
		{"[options]\nnft_mode = mark\n" + nativeDoor,
			"/etc/knockd.conf: its doors have nft_mode = mark, and tcp/22 wants guard, which holds for all of them (drop the port in the host's firewall, then say knockctl init again)"},
		{"[options]\nnft_mode = set\nnft_set = inet f a\n" + nativeDoor,
			"/etc/knockd.conf: its doors have nft_mode = set, and tcp/22 wants guard, which holds for all of them (write the door by hand, with its sets: see knockd.conf(5))"},
	} {
		_, err := plan(t, box(None, open, open), Ask{}, c.before)
		var conflict *Conflict
		if !errors.As(err, &conflict) || fmt.Sprintf("%v (%s)", conflict, conflict.Hint()) != c.want {
			t.Errorf("%q: %v, want %s", c.before, err, c.want)
		}
	}
}

// TestRescue: the second way in stands in the configuration, where there is
// something to leave open.
func TestRescue(t *testing.T) {
	const networks = "198.51.100.0/24, 2001:db8:1::/48"
	drops := dropped("ip", "filter", "INPUT")
	for _, c := range []struct{ before, rescue, want string }{
		{"", networks, ""},
		{"[x]\nsequence = 1\ncommand = true\n", "192.0.2.7", ""},
		{"[options]\nrescue = 192.0.2.7\n[x]\nsequence = 1\ncommand = true\n", networks, "/etc/knockd.conf has addresses of rescue already"},
		{"", "somebody", `propose a door: /etc/knockd.conf:6: [options] rescue: "somebody"`},
		{"", "0.0.0.0/0", "propose a door: /etc/knockd.conf:6: [options] rescue: "},
	} {
		p, err := plan(t, box(None, open, open), Ask{Rescue: c.rescue}, c.before)
		if c.want != "" {
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s: %v, want %s", c.rescue, err, c.want)
			}
		} else if err != nil || !strings.Contains(p.Text, "\trescue      = "+c.rescue+"\n") {
			t.Errorf("%s: %v\n%s", c.rescue, err, p.Text)
		}
	}
	if _, err := plan(t, box(Iptables, drops, drops), Ask{Rescue: networks}, ""); err == nil || !strings.HasPrefix(err.Error(), "rescue: nft_mode = mark closes nothing") {
		t.Errorf("mark: %v", err)
	}
}

// TestListen: knocks are heard where the default route leads, and where those who
// are there come from.
func TestListen(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Host)
		have   string
		exists bool
		want   string
		says   string
	}{
		{name: "the default route", want: "default-route", says: "ens3, the interface of the default route"},
		{name: "none", change: func(h *Host) { h.Default = 0 }, want: "any", says: "all interfaces"},
		{name: "by a tunnel", change: func(h *Host) { h.Connected = addrs("10.8.0.1") }, want: "default-route, wg0", says: "ens3, the interface of the default route, and on wg0"},
		{name: "by the default route", change: func(h *Host) { h.Connected = addrs("2001:db8::5", "192.0.2.77") }, want: "default-route"},
		{name: "named", have: "ens3", exists: true},
		{name: "named with another", have: "wg0, ens3", exists: true, says: "wg0, and on ens3"},
		{name: "all", have: "any", exists: true, change: func(h *Host) { h.Connected = addrs("10.8.0.1") }, says: "all interfaces"},
		{name: "another", have: "wg0", exists: true, want: "wg0, default-route"},
		{name: "not named", exists: true},
		{name: "not named, with eth0", exists: true, change: func(h *Host) { h.Interfaces[1].Name = "eth0" }, want: "eth0, default-route"},
		{name: "not named, eth0 it is", exists: true, change: func(h *Host) { h.Interfaces[0].Name = "eth0" }},
		{name: "by its other name", have: "enp1", exists: true, change: func(h *Host) { h.Interfaces[0].AltNames = []string{"enp1"} }},
		{name: "no default route beside others", have: "wg0", exists: true, change: func(h *Host) { h.Default = 0 }, want: "any"},
	} {
		h := box(None, open, open)
		if c.change != nil {
			c.change(h)
		}
		before := ""
		if c.exists {
			before = "[options]\nlogfile = /l\n[x]\nsequence = 1\ncommand = true\n"
			if c.have != "" {
				before = "[options]\ninterface = " + c.have + "\n[x]\nsequence = 1\ncommand = true\n"
			}
		}
		p, err := plan(t, h, Ask{}, before)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if m := regexp.MustCompile(`Interface +=(.*)\n`).FindStringSubmatch(p.Text); m != nil {
			got = strings.TrimSpace(m[1])
		}
		if line := strings.Split(p.Report("", 0), "\n")[1]; got != c.want || c.says != "" && line != "listens on "+c.says {
			t.Errorf("%s: Interface = %q, want %q\n%s, want %s", c.name, got, c.want, line, c.says)
		}
	}
}

// TestOverridden: doors with commands for a port that the guard closes.
func TestOverridden(t *testing.T) {
	const before = "[a]\nsequence = 1\ncommand = iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n" +
		"[b]\nsequence = 2\ncommand = iptables -I INPUT -s %IP% -p tcp --dport 2200 -j ACCEPT\n[c]\nsequence = 3\ncommand = true\ncommand_6 = ip6tables --dport=22\n"
	drops := dropped("ip", "filter", "INPUT")
	for host, want := range map[*Host]string{box(None, open, open): "[[a] [c]]", box(Iptables, drops, drops): "[]"} {
		p, err := plan(t, host, Ask{}, before)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(p.Overridden(parse(t, before))); got != want {
			t.Errorf("%s: %s, want %s", p.Mode, got, want)
		}
	}
}

// TestForwarded: what never comes to the hook input is guarded before.
func TestForwarded(t *testing.T) {
	p, err := plan(t, box(Nftables, forwarded, open), Ask{Port: 443, Name: "web"}, "")
	if err != nil || !strings.Contains(p.Text, "guard_hook  = prerouting") {
		t.Errorf("%v\n%s", err, p.Text)
	}
}

// TestOwner: whose rules they are.
func TestOwner(t *testing.T) {
	chain := func(family, table, name string, input bool) inspect.Chain {
		return inspect.Chain{Table: knock.Table{Family: family, Name: table}, Name: name, Input: input}
	}
	input := chain("ip", "filter", "INPUT", true)
	for _, c := range []struct {
		name          string
		newer, older  []inspect.Chain
		dropsInLegacy bool
		want          Firewall
	}{
		{name: "none"},
		{name: "nat alone", newer: []inspect.Chain{chain("ip", "nat", "PREROUTING", false)}},
		{name: "nftables", newer: []inspect.Chain{chain("inet", "filter", "input", true)}, want: Nftables},
		{name: "iptables-nft", newer: []inspect.Chain{chain("inet", "x", "y", true), input}, want: Iptables},
		{name: "ufw", newer: []inspect.Chain{input, chain("ip", "filter", "ufw-before-input", false)}, want: UFW},
		{name: "firewalld", newer: []inspect.Chain{chain("inet", "firewalld", "filter_INPUT", true)}, want: Firewalld},
		{name: "firewalld with iptables", newer: []inspect.Chain{input, chain("ip", "filter", "INPUT_ZONES", false)}, want: Firewalld},
		{name: "legacy", older: []inspect.Chain{input}, want: IptablesLegacy},
		{name: "ufw, legacy", older: []inspect.Chain{input, chain("ip", "filter", "ufw-before-input", false)}, want: UFW},
		{name: "both, the newer drops", newer: []inspect.Chain{input}, older: []inspect.Chain{input}, want: Iptables},
		{name: "both, the older drops", newer: []inspect.Chain{input}, older: []inspect.Chain{input}, dropsInLegacy: true, want: IptablesLegacy},
	} {
		h := &Host{}
		if h.Reach[0] = open; c.dropsInLegacy {
			h.Reach[0] = legacyDrop("ip")
		}
		h.Reach[1] = open
		if got := h.firewallOf(c.newer, c.older); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestGolden: all that a plan says, and its files.
func TestGolden(t *testing.T) {
	mark := box(Iptables, dropped("ip", "filter", "INPUT"), dropped("ip6", "filter", "INPUT"))
	private := box(None, open, open)
	private.Interfaces[0].Addrs = addrs("10.0.0.5", "fe80::1")
	private.Name = "box 1"
	for name, c := range map[string]struct {
		host   *Host
		ask    Ask
		before string
	}{
		"first":   {host: box(UFW, open, open)},
		"drop-in": {host: box(None, open, open), ask: Ask{Port: 443, Name: "web"}, before: "[x]\nsequence = 1\ncommand = true\n"},
		"mark":    {host: mark, ask: Ask{Server: "box1.example.org", Port: 2222}},
		"private": {host: private},
	} {
		p, err := plan(t, c.host, c.ask, c.before)
		if err != nil {
			t.Fatal(err)
		}
		text := p.Report("wrote "+p.Path, len(c.before)/20) + "\n" + p.Client() + "\n-- " + p.Path + " --\n" + p.Text + "\n-- card --\n" + p.CardText()
		nettest.Golden(t, filepath.Join("testdata", name+".txt"), text)
		svg, err := p.CardSVG()
		if err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil {
			t.Errorf("%s: the drawing: %v", name, err)
		}
		for _, line := range append(p.ports(), p.Knock()) {
			if !strings.Contains(svg, ">"+line+"<") {
				t.Errorf("%s: the drawing lacks %s", name, line)
			}
		}
		if lines := strings.Count(p.Report("", 0), "\n"); lines != 5+len(p.Rules()) {
			t.Errorf("%s: %d lines", name, lines)
		}
		profiles, err := profile.Parse("config", []byte(section(p.Client(), "mode 0600:\n\n", "\n\n")))
		if err != nil {
			t.Fatalf("%s: the profile: %v", name, err)
		}
		prof, ok := profiles.Find(p.profileName())
		if !ok || !slices.Equal(prof.Sequence, p.Sequence) || prof.Wait != p.Port {
			t.Errorf("%s: the profile: %v", name, ok)
		}
	}
}

// section is what stands in a text between two others.
func section(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return text
}
