package inspect

import (
	"net/netip"
	"strings"
	"testing"

	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/nft"
)

// TestNATExamine: what drops the way there or back is named with what to add,
// and then it is not named any more.
func TestNATExamine(t *testing.T) {
	t.Parallel()
	doors := []nft.Door{{DoorID: knock.DoorID{Name: "nat"}, Ports: ports(t, "tcp/2200"), OnePort: true, NAT: []knock.NATTarget{
		{Net: netip.MustParsePrefix("10.9.0.0/24"), Ports: ports(t, "tcp/22")[0]},
		{Net: netip.MustParsePrefix("10.7.0.2/32"), Ports: ports(t, "tcp/22")[0]},
	}}}
	const mine = "table inet mine {\n chain across { type filter hook forward priority 0; policy drop; }\n chain inward { type filter hook input priority 0; policy drop; }\n}\n"
	const (
		there = "door nat: chain across of table inet mine drops what NAT leads to 10.9.0.0/24 tcp/22; add: nft 'insert rule inet mine across meta mark & 0x100000 == 0x100000 accept'"
		back  = "door nat: chain across of table inet mine drops the answers from 10.9.0.0/24 tcp/22; add: nft 'insert rule inet mine across ct state established,related accept'"
		in    = "door nat: chain inward of table inet mine drops what NAT leads to 10.7.0.2/32 tcp/22; add: nft 'insert rule inet mine inward meta mark & 0x100000 == 0x100000 accept'"
	)
	for _, c := range []struct {
		name string
		load func(h *nettest.Host)
		want []string
	}{
		{"nothing", func(*nettest.Host) {}, nil},
		{"all dropped", func(h *nettest.Host) { h.Load(mine) }, []string{there, back, in}},
		{"as advised", func(h *nettest.Host) {
			h.Load(mine)
			for _, text := range []string{there, back, in} {
				_, rule, _ := strings.Cut(text, "nft '")
				h.Run("nft", strings.TrimSuffix(rule, "'"))
			}
		}, nil},
		{"iptables", func(h *nettest.Host) {
			nettest.NeedProgram(t, "iptables")
			h.Run("iptables", "-P", "FORWARD", "DROP")
		}, []string{
			"door nat: chain FORWARD of table ip filter drops what NAT leads to 10.9.0.0/24 tcp/22; add: iptables -I FORWARD -m mark --mark 0x100000/0x100000 -j ACCEPT",
			"door nat: chain FORWARD of table ip filter drops the answers from 10.9.0.0/24 tcp/22; add: iptables -I FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
		}},
		{"iptables as advised", func(h *nettest.Host) {
			nettest.NeedProgram(t, "iptables")
			h.Run("iptables", "-P", "FORWARD", "DROP")
			h.Run("iptables", strings.Fields("-I FORWARD -m mark --mark 0x100000/0x100000 -j ACCEPT")...)
			h.Run("iptables", strings.Fields("-I FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")...)
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := nettest.NewHost(t, "box")
			f, opt := firewall(t, h, nft.Options{Mode: nft.NAT, Table: nft.NATTable(nft.DefaultTable)})
			ensure(t, f, doors...)
			c.load(h)
			got, err := ExamineNAT(nft.Options{NetNS: opt.NetNS}, doors, []netip.Addr{addr("10.7.0.2")})
			if err != nil || lines(got) != lines(c.want) {
				t.Errorf("%v\n%s\nwant:\n%s", err, lines(got), lines(c.want))
			}
			// Our own translation is nothing that the other modes should fear.
			if got, err := Examine(nft.Options{NetNS: opt.NetNS, Table: nft.DefaultTable}, doors); err != nil || strings.Contains(lines(got), "knockd_nat") {
				t.Errorf("%v\n%s", err, lines(got))
			}
		})
	}
}
