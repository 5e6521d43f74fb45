package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"knockd/internal/config"
	"knockd/internal/knock"
)

// TestByHand: what a door opens by hand is what a knock or a message could have
// opened; what is against its rules takes force.
func TestByHand(t *testing.T) {
	path := keyFile(t, "[laptop]\nKEY a\nHMAC_KEY b\n")
	conf, err := config.Parse("knockd.conf", []byte(`[ports]
sequence = 7000,8000
open = tcp/22, udp/53
cmd_timeout = 30
allow = 192.0.2.0/24, 2001:db8::/32
deny = 192.0.2.66
[prefixes]
sequence = 7000,8000
open = tcp/22
open_prefix_4 = 24
open_prefix_6 = 64
[commands]
sequence = 7000:udp,8000
start_command = open %IP% %PORT%/%PROTO%
stop_command = close %IP%
start_command_6 =
[list]
sequence = 7000,8000
xt_recent = SSH2
[named]
sequence = 7000,*:udp
open_ports = 8000-8100
open = tcp/*, udp/*
start_command = named %PORT%/%PROTO%
[keys]
spa_key_file = `+path+`
open = tcp/22, tcp/80
allow_ports = tcp/443
deny_ports = tcp/80
allow = 192.0.2.0/24
allow_inside = 10.0.0.0/8
start_command = keys %PORT%
[many]
spa_key_file = `+path+`
open = tcp/1000-1100
[commanded]
spa_key_file = `+path+`
allow_ports = tcp/443
start_command = c %PORT%
[nothing]
sequence = 7000,8000
`))
	if err != nil {
		t.Fatal(err)
	}
	doors, _, err := Prepare(conf)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*Door{}
	for _, d := range doors {
		byName[d.Name] = d
	}
	for _, c := range []struct {
		door, whom, ports string
		timeout           time.Duration
		force             bool
		want              string
	}{
		{door: "ports", whom: "192.0.2.7", want: "nft 192.0.2.7 30s"},
		{door: "ports", whom: "192.0.2.7", timeout: time.Hour, want: "nft 192.0.2.7 1h0m0s"},
		{door: "ports", whom: "198.51.100.7", want: "198.51.100.7 is not in its allow: it takes force"},
		{door: "ports", whom: "198.51.100.7", force: true, want: "nft 198.51.100.7 30s"},
		{door: "ports", whom: "192.0.2.66", want: "192.0.2.66 is in its deny: it takes force"},
		{door: "ports", whom: "192.0.2.7", timeout: 24*time.Hour + time.Second, want: "more than a day: it takes force"},
		{door: "ports", whom: "192.0.2.0/25", want: "192.0.2.0/25 is a network: it takes force"},
		{door: "ports", whom: "192.0.2.0/25", force: true, want: "it opens for networks of 32 bits alone, as open_prefix_4 says"},
		{door: "ports", whom: "192.0.2.7", ports: "tcp/22", want: "a knock at it names no port"},
		{door: "prefixes", whom: "192.0.2.7", want: "nft 192.0.2.0/24 10s"},
		{door: "prefixes", whom: "2001:db8::7", want: "nft 2001:db8::/64 10s"},
		{door: "prefixes", whom: "192.0.2.0/24", force: true, want: "nft 192.0.2.0/24 10s"},
		{door: "prefixes", whom: "192.0.2.0/25", force: true, want: "it opens for networks of 24 bits alone, as open_prefix_4 says"},
		{door: "prefixes", whom: "2001:db8::/48", force: true, want: "it opens for networks of 64 bits alone, as open_prefix_6 says"},
		{door: "commands", whom: "192.0.2.7", want: "command 192.0.2.7 10s open 192.0.2.7 8000/tcp | close 192.0.2.7"},
		{door: "commands", whom: "192.0.2.0/24", force: true, want: "command 192.0.2.0/24 10s open 192.0.2.0/24 8000/tcp | close 192.0.2.0/24"},
		{door: "commands", whom: "2001:db8::7", want: "it opens nothing for 2001:db8::7"},
		{door: "list", whom: "192.0.2.7", want: "xt_recent 192.0.2.7 10s"},
		{door: "list", whom: "192.0.2.0/24", force: true, want: "it opens for networks of 32 bits alone, as open_prefix_4 says"},
		{door: "named", whom: "192.0.2.7", want: "a knock at it names the port: name one"},
		{door: "named", whom: "192.0.2.7", ports: "8080", want: "nft 192.0.2.7 10s 8080:tcp, nft 192.0.2.7 10s 8080:udp, command 192.0.2.7 10s named 8080/udp | "},
		{door: "named", whom: "192.0.2.7", ports: "8080 8081", want: "a knock at it names one port, not several"},
		{door: "named", whom: "192.0.2.7", ports: "8200", want: "8200 is not in its open_ports"},
		{door: "named", whom: "192.0.2.7", ports: "8000-8001", want: "8000-8001 is more than one port"},
		{door: "keys", whom: "192.0.2.7", ports: "tcp/22", want: "nft 192.0.2.7 10s 22:tcp, command 192.0.2.7 10s keys 22 | "},
		{door: "keys", whom: "10.0.0.7", ports: "tcp/443 tcp/22", want: "nft 10.0.0.7 10s 22:tcp, command 10.0.0.7 10s keys 443 | , command 10.0.0.7 10s keys 22 | "},
		{door: "keys", whom: "192.0.2.7", want: "nft 192.0.2.7 10s 22:tcp, command 192.0.2.7 10s keys 22 | "},
		{door: "keys", whom: "192.0.2.7", ports: "tcp/25", want: "tcp/25 is not in open or allow_ports"},
		{door: "many", whom: "192.0.2.7", want: "a message could ask it for more than 16 ports: name those that it is to open"},
		{door: "many", whom: "192.0.2.7", ports: "tcp/1001", want: "nft 192.0.2.7 10s 1001:tcp"},
		{door: "commanded", whom: "192.0.2.7", want: "a message names the port: name one"},
		{door: "commanded", whom: "192.0.2.7", ports: "tcp/443", want: "command 192.0.2.7 10s c 443 | "},
		{door: "nothing", whom: "192.0.2.7", want: "it opens nothing for 192.0.2.7"},
	} {
		h := ByHand{Timeout: c.timeout, Force: c.force, UID: 1000}
		if h.For, err = netip.ParsePrefix(c.whom); err != nil {
			a := netip.MustParseAddr(c.whom)
			h.For = netip.PrefixFrom(a, a.BitLen())
		}
		for text := range strings.FieldsSeq(c.ports) {
			r, err := knock.ParsePortRange(text)
			if err != nil {
				t.Fatal(err)
			}
			h.Ports = append(h.Ports, r)
		}
		list, err := byName[c.door].ByHand(h)
		var got []string
		for _, o := range list {
			text := fmt.Sprintf("%s %s %v", o.Action, o.For(), o.Timeout)
			if o.Args.Port != (knock.Step{}) {
				text += " " + o.Args.Port.String()
			}
			if o.Args.Start != "" {
				text += " " + o.Args.Start + " | " + o.Args.Stop
			}
			if got = append(got, text); o.UID == nil || *o.UID != 1000 || o.Door != byName[c.door].ID() {
				t.Errorf("%+v", o)
			}
		}
		text := strings.Join(got, ", ")
		if err != nil {
			text = err.Error()
		}
		if text != c.want || errors.Is(err, ErrForce) != strings.HasSuffix(c.want, "it takes force") {
			t.Errorf("%s %s %s:\n%s\nwant %s", c.door, c.whom, c.ports, text, c.want)
		}
	}
}
