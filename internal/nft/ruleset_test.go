package nft

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/knock"
	"knockd/internal/nettest"
)

// rulesets are configurations and the golden files of what they make.
var rulesets = []struct {
	file  string
	opt   Options
	doors func(t testing.TB) []Door
}{
	{"guard", Options{}, threeDoors},
	{"guard-prerouting", Options{Hook: Prerouting}, threeDoors},
	{"mark", Options{Mode: Mark}, threeDoors},
	{"mark-mask", Options{Mode: Mark, Mark: knock.Mark{Value: 0x20, Mask: 0xf0}, Table: knock.Table{Family: "inet", Name: "other"}}, threeDoors},
	{"guard-prefix", Options{}, func(t testing.TB) []Door {
		return []Door{{DoorID: knock.DoorID{Name: "vpn"}, Ports: ports(t, "udp/51820"), Timeout: time.Minute, PrefixLen4: 24, PrefixLen6: 64}}
	}},
	{"guard-oneport", Options{}, func(t testing.TB) []Door {
		return []Door{
			{DoorID: knock.DoorID{Name: "web"}, Ports: ports(t, "tcp/8000-8100, udp/8000-8100"), Timeout: time.Minute, OnePort: true},
			{DoorID: knock.DoorID{Name: "nets"}, Ports: ports(t, "tcp/8050"), Timeout: time.Minute, OnePort: true, PrefixLen4: 16, PrefixLen6: 56},
		}
	}},
	{"guard-inner", Options{}, func(t testing.TB) []Door {
		return []Door{
			{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22"), Timeout: time.Minute},
			{DoorID: knock.DoorID{Name: "nat"}, Ports: ports(t, "tcp/2200-2210"), NAT: []knock.NATTarget{{Ports: ports(t, "tcp/20-30")[0]}, {Ports: ports(t, "udp/53")[0]}}, Timeout: time.Minute, OnePort: true},
		}
	}},
	{"guard-rescue", Options{Rescue: rescued}, threeDoors},
	{"guard-prerouting-rescue", Options{Hook: Prerouting, Rescue: rescued}, threeDoors},
	{"nat", Options{Mode: NAT, Table: NATTable(DefaultTable)}, natDoors},
}

// rescued are networks that end within an octet and with one, and hosts.
var rescued = []netip.Prefix{
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("10.7.0.128/25"), netip.MustParsePrefix("203.0.113.9/32"),
	netip.MustParsePrefix("2001:db8::/48"), netip.MustParsePrefix("fd07::1/128"),
}

// natDoors lead ports elsewhere, one of them hiding the knockers.
func natDoors(t testing.TB) []Door {
	return []Door{
		{DoorID: knock.DoorID{Name: "nat"}, Ports: ports(t, "tcp/2200-2210, udp/53"), Timeout: time.Minute, OnePort: true},
		{DoorID: knock.DoorID{Name: "office"}, Ports: ports(t, "tcp/2210-2220"), Timeout: time.Minute, OnePort: true, PrefixLen4: 24, PrefixLen6: 64, Masquerade: true, NAT: []knock.NATTarget{
			{Net: netip.MustParsePrefix("10.9.0.0/24"), Ports: ports(t, "tcp/22")[0]},
			{Net: netip.MustParsePrefix("fd09::/64"), Ports: ports(t, "udp/53-54")[0]},
		}},
	}
}

// threeDoors share ports, bear one name twice and names that nft cannot read.
func threeDoors(t testing.TB) []Door {
	return []Door{
		{DoorID: knock.DoorID{Name: "ssh"}, Ports: ports(t, "tcp/22, udp/60001-60010"), Timeout: 30 * time.Second},
		{DoorID: knock.DoorID{Name: "ssh", N: 2}, Ports: ports(t, "udp/60005-60020")},
		{DoorID: knock.DoorID{Name: "Öl & Gas"}, Ports: ports(t, "tcp/443,tcp/22"), Timeout: time.Hour},
	}
}

// TestRulesets compares our rules with text that nft has read, as nft prints
// both; and has nft read what it prints.
func TestRulesets(t *testing.T) {
	t.Parallel()
	for _, tt := range rulesets {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			built, loaded, again := nettest.NewHost(t, "built"), nettest.NewHost(t, "loaded"), nettest.NewHost(t, "again")
			f := firewall(t, built, tt.opt)
			f.noOwner = true
			ensure(t, f, tt.doors(t)...)
			got := ruleset(built)
			if f.opt.oneLookup {
				t.Skip("this kernel cannot look into a map for the key alone: that takes Linux 6.8")
			}
			file := filepath.Join("testdata", tt.file+".nft")
			loaded.Load(nettest.Expected(t, file, got))
			if diff := cmp.Diff(ruleset(loaded), got); diff != "" {
				t.Errorf("built rules differ from %s (-file +built):\n%s", file, diff)
			}
			again.Load(got)
			if diff := cmp.Diff(got, ruleset(again)); diff != "" {
				t.Errorf("nft reads its own list otherwise:\n%s", diff)
			}
		})
	}
}

// TestEnsureTwice: what is as it should be is not touched.
func TestEnsureTwice(t *testing.T) {
	t.Parallel()
	for _, tt := range rulesets {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			f := firewall(t, nettest.NewHost(t, "host"), tt.opt)
			ensure(t, f, tt.doors(t)...)
			before, err := generationOf(f)
			if err != nil {
				t.Fatal(err)
			}
			ensure(t, f, tt.doors(t)...)
			if after, err := generationOf(f); err != nil || after != before {
				t.Errorf("generation %d became %d, %v", before, after, err)
			}
		})
	}
}
