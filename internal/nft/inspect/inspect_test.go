package inspect

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/nft"
)

// hosts are rulesets, and what is to be said to a door for tcp/22 and
// udp/60001-60010 in each mode. Commands are run after the rules are loaded.
var hosts = []struct {
	name, rules string
	commands    [][]string
	opt         nft.Options
	want        []string
}{
	{name: "nothing, guard"},
	{name: "nothing, mark", opt: nft.Options{Mode: nft.Mark}, want: []string{
		"door ssh: the host's rules let everybody reach tcp/22, knock or not; drop it there, or use nft_mode = guard",
		"door ssh: the host's rules let everybody reach udp/60001-60010, knock or not; drop it there, or use nft_mode = guard",
	}},
	{name: "default drop, guard", rules: dropHost, want: []string{
		"door ssh: tcp/22 stays closed: chain input of table inet filter drops it; guard can only take away: accept tcp/22 there, or use nft_mode = set or mark",
		"door ssh: udp/60001-60010 stays closed: chain input of table inet filter drops it; guard can only take away: accept udp/60001-60010 there, or use nft_mode = set or mark",
	}},
	{name: "default drop, mark", rules: dropHost, opt: nft.Options{Mode: nft.Mark}, want: []string{
		"door ssh: tcp/22 stays closed: chain input of table inet filter drops it; add: nft 'insert rule inet filter input meta mark & 0x100000 == 0x100000 accept'",
		"door ssh: udp/60001-60010 stays closed: chain input of table inet filter drops it; add: nft 'insert rule inet filter input meta mark & 0x100000 == 0x100000 accept'",
	}},
	{name: "default drop, mark, accepted", rules: dropHost, opt: nft.Options{Mode: nft.Mark},
		commands: [][]string{{"nft", "insert rule inet filter input meta mark & 0x100000 == 0x100000 accept"}}},
	{name: "default drop, set", rules: dropHost, opt: nft.Options{Mode: nft.Set}, commands: [][]string{
		{"nft", "add rule inet filter doors tcp dport 22 ip saddr @addr4 accept"},
		{"nft", "add rule inet filter doors tcp dport 22 ip6 saddr @addr6 accept"},
	}, want: []string{
		"door ssh: udp/60001-60010 stays closed: chain input of table inet filter drops it before or in spite of the door's set; add a rule that asks the set, or use nft_mode = mark",
	}},
	{name: "ports in sets, maps and ranges", rules: `
table inet filter {
	set services { type inet_service; flags interval; elements = { 20-23, 60000-60100 }; }
	chain input {
		type filter hook input priority 10; policy drop;
		iifname != "lo" ip saddr 198.51.100.0/24 drop
		ct state vmap { established : accept, related : accept, invalid : drop, new : jump fresh }
	}
	chain fresh {
		meta l4proto vmap { tcp : goto tcp_in, udp : goto udp_in }
	}
	chain tcp_in {
		tcp flags & (fin|syn|rst|ack) != syn drop
		tcp dport @services accept
	}
	chain udp_in {
		udp dport 1-60000 reject
		udp dport != 60000-60010 drop
		udp dport { 53, 60001-60010 } limit rate 10/second accept
	}
}`},
	{name: "trusted networks are no way in", rules: `
table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
		iif "lo" accept
		ip saddr 10.0.0.0/8 accept
		ip6 saddr fd00::/8 accept
		tcp dport 22 counter reject with tcp reset
	}
}`, want: []string{
		"door ssh: tcp/22 stays closed: chain input of table inet filter drops it; guard can only take away: accept tcp/22 there, or use nft_mode = set or mark",
	}},
	{name: "a chain for trusted networks is no way in either, guard", rules: trusting, want: []string{
		"door ssh: tcp/22 stays closed: chain input of table inet filter drops it; guard can only take away: accept tcp/22 there, or use nft_mode = set or mark",
		"door ssh: udp/60001-60010 stays closed: chain input of table inet filter drops it; guard can only take away: accept udp/60001-60010 there, or use nft_mode = set or mark",
	}},
	{name: "a chain for trusted networks is no way in either, mark", rules: trusting, opt: nft.Options{Mode: nft.Mark}, want: []string{
		"door ssh: tcp/22 stays closed: chain input of table inet filter drops it; add: nft 'insert rule inet filter input meta mark & 0x100000 == 0x100000 accept'",
		"door ssh: udp/60001-60010 stays closed: chain input of table inet filter drops it; add: nft 'insert rule inet filter input meta mark & 0x100000 == 0x100000 accept'",
	}},
	{name: "who is trusted returns", rules: `
table inet filter {
	chain input { type filter hook input priority filter; policy accept; jump ssh; }
	chain ssh { ip saddr 10.0.0.0/8 return; ip6 saddr fd00::/8 return; tcp dport 22 drop; accept; }
}`, want: []string{
		"door ssh: tcp/22 stays closed: chain input of table inet filter drops it; guard can only take away: accept tcp/22 there, or use nft_mode = set or mark",
	}},
	{name: "iptables, guard", commands: [][]string{
		{"iptables-nft", "-P", "INPUT", "DROP"},
		{"iptables-nft", "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"},
		{"iptables-nft", "-A", "INPUT", "-p", "tcp", "-m", "multiport", "--dports", "80,20:25", "-j", "ACCEPT"},
	}, want: []string{
		"door ssh: udp/60001-60010 stays closed: chain INPUT of table ip filter drops it; guard can only take away: accept udp/60001-60010 there, or use nft_mode = mark",
	}},
	{name: "iptables, mark", opt: nft.Options{Mode: nft.Mark}, commands: [][]string{
		{"ip6tables-nft", "-P", "INPUT", "DROP"},
		{"iptables-nft", "-P", "INPUT", "DROP"},
		{"iptables-nft", "-A", "INPUT", "-m", "mark", "--mark", "0x100000/0x100000", "-j", "ACCEPT"},
	}, want: []string{
		"door ssh: tcp/22 stays closed: chain INPUT of table ip6 filter drops it; add: ip6tables -I INPUT -m mark --mark 0x100000/0x100000 -j ACCEPT",
		"door ssh: udp/60001-60010 stays closed: chain INPUT of table ip6 filter drops it; add: ip6tables -I INPUT -m mark --mark 0x100000/0x100000 -j ACCEPT",
	}},
	{name: "published port, guard at input", commands: docker, want: []string{
		"door ssh: chain PREROUTING of table ip nat forwards tcp/22 elsewhere, past the guard at hook input: set guard_hook = prerouting",
	}},
	{name: "published port, guard at prerouting", commands: docker, opt: nft.Options{Hook: nft.Prerouting}},
	{name: "firewalld", rules: `
table inet firewalld {
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		iifname "lo" accept
		jump zones
		reject with icmpx admin-prohibited
	}
	chain zones { goto zone_public; }
	chain zone_public { tcp dport 22 ct state { new, untracked } accept; }
}`, want: []string{
		"door ssh: udp/60001-60010 stays closed: chain filter_INPUT of table inet firewalld drops it; guard can only take away: allow udp/60001-60010 in firewalld's zone",
	}},
}

// dropHost is a default-drop ruleset with sets for the door's tcp/22.
const dropHost = `
table inet filter {
	set addr4 { type ipv4_addr; flags timeout; }
	set addr6 { type ipv6_addr; flags timeout; }
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		ct state established,related accept
		tcp dport { 80, 443 } accept
		jump doors
	}
	chain doors {
		meta mark & 0x100000 == 0x100000 tcp dport 1-21 accept
	}
}
`

// trusting is a default-drop ruleset that lets networks in by a chain.
const trusting = `
table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		iif "lo" accept
		ip saddr 172.16.0.0/12 jump lan
		ip6 saddr fd00::/8 jump lan
	}
	chain lan { accept; }
}
`

// docker is how Docker publishes a port.
var docker = [][]string{
	{"iptables-nft", "-t", "nat", "-N", "DOCKER"},
	{"iptables-nft", "-t", "nat", "-A", "PREROUTING", "-m", "addrtype", "--dst-type", "LOCAL", "-j", "DOCKER"},
	{"iptables-nft", "-t", "nat", "-A", "DOCKER", "!", "-i", "docker0", "-p", "tcp", "-m", "tcp", "--dport", "22", "-j", "DNAT", "--to-destination", "172.17.0.2:22"},
}

func TestExamine(t *testing.T) {
	t.Parallel()
	for _, tt := range hosts {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := nettest.NewHost(t, "host")
			nettest.NeedProgram(t, "nft")
			if tt.rules != "" {
				h.Load(tt.rules)
			}
			for _, c := range tt.commands {
				nettest.NeedProgram(t, c[0])
				h.Run(c[0], c[1:]...)
			}
			ns, err := os.Open(h.Path())
			if err != nil {
				t.Fatal(err)
			}
			defer ns.Close()
			tt.opt.NetNS = int(ns.Fd())
			door := nft.Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22, udp/60001-60010"), Timeout: time.Minute}
			if tt.opt.Mode == nft.Set {
				door.Set4, door.Set6 = filterSet("addr4"), filterSet("addr6")
			}
			// A table of ours that is there already changes nothing.
			if tt.opt.Mode != nft.Set {
				f, _ := firewall(t, h, tt.opt)
				ensure(t, f, door)
			}
			var got []string
			err = h.Do(func() (err error) {
				got, err = Examine(tt.opt, []nft.Door{door})
				return err
			})
			if err != nil || lines(got) != lines(tt.want) {
				t.Errorf("%v\ngot:\n%s\nwant:\n%s", err, lines(got), lines(tt.want))
			}
		})
	}
}

func TestLegacyTables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got := legacyTables(dir); len(got) > 0 {
		t.Errorf("without iptables: %v", got)
	}
	for name, text := range map[string]string{"ip_tables_names": "filter\nnat\n", "ip6_tables_names": ""} {
		nettest.Write(t, filepath.Join(dir, name), text)
	}
	if got := lines(legacyTables(dir)); got != "rules of iptables-legacy (filter, nat)" {
		t.Errorf("got %s", got)
	}
}
