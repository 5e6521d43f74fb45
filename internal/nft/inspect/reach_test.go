package inspect

import (
	"os"
	"testing"

	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/nft"
)

// TestPorts: whom rules let reach tcp/22, over IPv4 and over IPv6.
func TestPorts(t *testing.T) {
	t.Parallel()
	nettest.NeedProgram(t, "nft")
	input := Chain{knock.Table{Family: "inet", Name: "filter"}, "input", true}
	drop := func(rules string) string {
		return "table inet filter {\n chain input { type filter hook input priority 0; policy drop; iif lo accept; ct state established accept; " + rules + "; }\n}"
	}
	for _, c := range []struct {
		name, rules string
		v4, v6      Reach
	}{
		{"none", "", Reach{Access: Everybody}, Reach{Access: Everybody}},
		{"accepted", drop("tcp dport { 22, 80 } accept"), Reach{Access: Everybody}, Reach{Access: Everybody}},
		{"dropped", drop("tcp dport 80 accept"), Reach{Chain: input}, Reach{Chain: input}},
		{"from a network", drop("ip saddr 192.0.2.0/24 tcp dport 22 accept"), Reach{Access: Some}, Reach{Chain: input}},
		{"at a rate", drop("tcp dport 22 limit rate 3/minute accept"), Reach{Access: Some}, Reach{Access: Some}},
		{"on an interface", drop("iifname wg0 tcp dport 22 accept"), Reach{Access: Some}, Reach{Access: Some}},
		{"all from a network", drop("ip saddr 192.0.2.0/24 accept"), Reach{Chain: input}, Reach{Chain: input}},
		{"rejected", "table ip6 t {\n chain c { type filter hook prerouting priority 0; tcp dport 22 drop; }\n}",
			Reach{Access: Everybody}, Reach{Chain: Chain{knock.Table{Family: "ip6", Name: "t"}, "c", false}}},
		{"led elsewhere", drop("") + "\ntable ip nat {\n chain pre { type nat hook prerouting priority dstnat; tcp dport 22 dnat to 172.17.0.2; }\n}",
			Reach{Access: Everybody, Forwarded: true}, Reach{Chain: input}},
		{"the guard does not count", "table inet knockd {\n chain guard { type filter hook input priority -10; tcp dport 22 drop; }\n}",
			Reach{Access: Everybody}, Reach{Access: Everybody}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := nettest.NewHost(t, "h")
			h.Load(c.rules)
			ns, err := os.Open(h.Path())
			if err != nil {
				t.Fatal(err)
			}
			defer ns.Close()
			v4, v6, chains, err := Ports(nft.Options{NetNS: int(ns.Fd())}, ports(t, "tcp/22")[0])
			if err != nil || v4 != c.v4 || v6 != c.v6 {
				t.Errorf("%v\n%+v\n%+v\nwant\n%+v\n%+v", err, v4, v6, c.v4, c.v6)
			}
			if c.v4.Chain == input && (len(chains) != 1 || chains[0] != input) {
				t.Errorf("chains: %+v", chains)
			}
		})
	}
}
