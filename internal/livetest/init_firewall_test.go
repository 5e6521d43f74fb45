package livetest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"knockd/internal/nettest"
)

// initSite is a host with a firewall, and what init has to find there.
type initSite struct {
	name  string
	needs []string // programs
	slow  bool     // only with KNOCKD_TEST_FIREWALLS=1
	// setup makes the firewall, and returns how its administrator runs a script
	// there: nil if a shell of the host will do.
	setup func(t *testing.T, h *nettest.Host) (admin func(script string) error)
	port  string
	guard bool   // the port is closed by the guard, and not marked
	waits bool   // nothing opens before the rule is there that init prints
	says  string // of the firewall
}

// dropPolicy is a host of nftables.conf's usual kind; of its own services it lets
// in what stands in a rule.
func dropPolicy(rule string) func(*testing.T, *nettest.Host) func(string) error {
	return func(_ *testing.T, h *nettest.Host) func(string) error {
		h.Load("table inet filter {\n chain input { type filter hook input priority filter; policy drop;\n" +
			"  iif lo accept; ct state established,related accept; meta l4proto ipv6-icmp accept; " + rule + "\n }\n}")
		return nil
	}
}

// plainIptables is a host that drops all but a port, with a flavour of iptables.
func plainIptables(flavour, port string) func(*testing.T, *nettest.Host) func(string) error {
	return func(_ *testing.T, h *nettest.Host) func(string) error {
		h.Iptables(flavour, "-p", "tcp", "--dport", port)
		return nil
	}
}

// ufwHost is a host with ufw, after some commands.
func ufwHost(commands string) func(*testing.T, *nettest.Host) func(string) error {
	return func(_ *testing.T, h *nettest.Host) func(string) error { return h.UFW(commands) }
}

// firewalldHost is a host with firewalld, whose default zone lets in ssh.
func firewalldHost(_ *testing.T, h *nettest.Host) func(string) error { return h.Firewalld() }

var initSites = []initSite{
	{name: "none", setup: func(*testing.T, *nettest.Host) func(string) error { return nil }, guard: true, says: "no firewall, so that everybody reaches tcp/22 today"},
	{name: "nftables", setup: dropPolicy("tcp dport 22 accept"), guard: true, says: "the firewall (nftables) lets everybody reach tcp/22 today"},
	{name: "nftables for some", setup: dropPolicy("ip saddr 10.7.0.0/24 tcp dport 22 accept; ip6 saddr fd07::/64 tcp dport 22 accept"), guard: true, says: "the firewall (nftables) lets some reach tcp/22 today"},
	{name: "nftables drops", setup: dropPolicy(""), waits: true, says: "the firewall (nftables) drops tcp/22: nft_mode = mark"},
	{name: "iptables-nft", needs: []string{"iptables-nft", "ip6tables-nft"}, setup: plainIptables("-nft", "22"), guard: true, says: "the firewall (iptables) lets everybody reach tcp/22 today"},
	{name: "iptables-nft drops", needs: []string{"iptables-nft", "ip6tables-nft"}, setup: plainIptables("-nft", "23"), waits: true, says: "the firewall (iptables) drops tcp/22: nft_mode = mark"},
	{name: "iptables-legacy", needs: []string{"iptables-legacy", "ip6tables-legacy", "iptables-nft-restore", "ip6tables-nft-restore"},
		setup: plainIptables("-legacy", "22"), guard: true, says: "the firewall (iptables-legacy) lets everybody reach tcp/22 today"},
	{name: "iptables-legacy drops", needs: []string{"iptables-legacy", "ip6tables-legacy", "iptables-nft-restore", "ip6tables-nft-restore"},
		setup: plainIptables("-legacy", "23"), waits: true, says: "the firewall (iptables-legacy) drops tcp/22: nft_mode = mark"},
	{name: "ufw", slow: true, needs: []string{"ufw"}, setup: ufwHost("ufw allow 22/tcp"), guard: true, says: "the firewall (ufw) lets everybody reach tcp/22 today"},
	{name: "ufw drops", slow: true, needs: []string{"ufw"}, setup: ufwHost("true"), waits: true, says: "the firewall (ufw) drops tcp/22: nft_mode = mark"},
	{name: "firewalld", slow: true, needs: []string{"firewalld", "firewall-cmd", "dbus-daemon"}, setup: firewalldHost, guard: true, says: "the firewall (firewalld) lets everybody reach tcp/22 today"},
	{name: "firewalld drops", slow: true, needs: []string{"firewalld", "firewall-cmd", "dbus-daemon"}, setup: firewalldHost, port: "2222", guard: true, waits: true, says: "the firewall (firewalld) drops tcp/2222 and keeps no rule for marks"},
}

// TestInitFirewall: what knockctl init promises beside each firewall holds with a
// daemon that is started from the file it wrote, and it changes no rule.
func TestInitFirewall(t *testing.T) {
	t.Parallel()
	for _, s := range initSites {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			nettest.NeedRealRoot(t)
			if s.slow && os.Getenv("KNOCKD_TEST_FIREWALLS") == "" {
				t.Skipf("needs KNOCKD_TEST_FIREWALLS=1 and the packages of %s (Debian: ufw, firewalld, dbus)", strings.Join(s.needs, ", "))
			}
			nettest.NeedProgram(t, append(s.needs, "nft", "unshare", "nc")...)
			client, server := nettest.Pair(t)
			if s.port == "" {
				s.port = "22"
			}
			server.EchoTCP(":" + s.port)
			server.Run("ip", "route", "add", "default", "via", nettest.Client4)
			admin := s.setup(t, server)
			if admin == nil {
				admin = func(script string) error {
					_, err := server.Try("sh", "-ec", script)
					return err
				}
			}
			s.try(t, client, server, admin)
		})
	}
}

// try sets up the door and uses it.
func (s initSite) try(t *testing.T, client, server *nettest.Host, admin func(string) error) {
	t.Helper()
	before := hostRules(server)
	dir := t.TempDir()
	conf := filepath.Join(dir, "knockd.conf")
	out := server.Run(program(t, "knockctl"), "init", "--port", s.port, "-c", conf, "--card", dir+"/card.txt")
	if after := hostRules(server); after != before {
		t.Errorf("rules before:\n%s\nand after:\n%s", before, after)
	}
	lines := strings.Split(out, "\n")
	if !strings.HasPrefix(lines[2], s.says) || lines[1] != "listens on eth0, the interface of the default route" {
		t.Errorf("init says:\n%s\nwant %s", out, s.says)
	}
	text := nettest.Read(t, conf)

	secrets.config(text)
	var rules []string
	for _, line := range lines[3:] {
		rule, ok := strings.CutPrefix(line, "    ")
		if !ok {
			break
		}
		rules = append(rules, rule)
	}
	if !strings.Contains(out, "\nchecked as by knockd -t: no faults, warnings or advice\n") {
		t.Errorf("init has found faults in what it has made:\n%s", out)
	}
	if s.waits != (rules != nil) || s.guard == strings.Contains(text, "nft_mode") {
		t.Errorf("rules %q, and\n%s", rules, text)
	}

	if err := os.Mkdir(conf+".d", 0o755); err != nil {
		t.Fatal(err)
	}
	nettest.Write(t, conf+".d/test.conf", "[options]\nLogFile = "+dir+"/log\nStateDir = "+dir+"/state\n")
	d := prepareCommand(t, server, dir+"/log", program(t, "knockd"), "-c", conf)
	d.waitFor("starting up, listening on", 1)
	for _, a := range nettest.Both(s.port) {
		client.MustNotReach(a)
	}
	knock := regexp.MustCompile(`(?m)^knock (-w .*?)( && ssh.*)?$`).FindStringSubmatch(out)[1]
	if s.waits {
		if got, err := client.Try(program(t, "knock"), append(strings.Fields(knock), "--timeout", "1")...); err == nil {
			t.Errorf("opened before the firewall lets it: %s", got)
		}
		if err := admin(strings.Join(rules, "\n")); err != nil {
			t.Fatalf("the rules that are printed: %v\n%s", err, strings.Join(rules, "\n"))
		}
		client.MustNotReach(nettest.Both(s.port)[1])
	}
	client.Run(program(t, "knock"), strings.Fields(knock)...)
	client.MustReach(nettest.Both(s.port)[0])
	client.MustNotReach(nettest.Both(s.port)[1]) // knocked over IPv4 alone
	client.Run(program(t, "knock"), strings.Fields(strings.Replace(knock, nettest.Server4, nettest.Server6, 1))...)
	client.MustReach(nettest.Both(s.port)[1])
	d.stop(os.Interrupt)
	again(d, server)
	client.MustNotReach(nettest.Both(s.port)[0])
	client.Run("sh", "-c", regexp.MustCompile(`(?m)^ +(for p in .*)$`).FindStringSubmatch(nettest.Read(t, dir+"/card.txt"))[1]+"; true")
	client.MustReach(nettest.Both(s.port)[0])
}

// counted are the counters of chains in what iptables-save prints.
var counted = regexp.MustCompile(`\[\d+:\d+\]|(?m)^#.*$`)

// hostRules are all rules of a host, without counters, but knockd's own.
func hostRules(h *nettest.Host) string {
	text, _ := h.Try("nft", "-s", "list", "ruleset")
	for _, tool := range []string{"iptables-legacy-save", "ip6tables-legacy-save"} {
		if names, err := h.Try("cat", "/proc/net/"+strings.TrimSuffix(strings.TrimSuffix(tool, "-legacy-save"), "tables")+"_tables_names"); err == nil && names != "" {
			rules, _ := h.Try(tool)
			text += counted.ReplaceAllString(rules, "")
		}
	}
	return text
}
