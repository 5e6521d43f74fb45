package engine

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/nettest"
	"knockd/internal/spa"
)

func parse(t *testing.T, text string) []*config.Door {
	t.Helper()
	c, err := config.Parse("knockd.conf", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c.Doors
}

func spaDoors(t *testing.T, doors []*config.Door) ([]*spa.Door, error) {
	t.Helper()
	ready, _, err := Prepare(&config.Config{Doors: doors})
	return SPADoors(ready), err
}

func keyFile(t *testing.T, text string) string {
	t.Helper()
	return nettest.Write(t, filepath.Join(t.TempDir(), "keys"), text)
}

func TestDoors(t *testing.T) {
	path := keyFile(t, "[laptop]\nKEY a\nHMAC_KEY b\n[phone]\nKEY c\nHMAC_KEY d\nHMAC_DIGEST_TYPE md5\n")
	doors, err := spaDoors(t, parse(t, `[knock]
sequence = 7000
command = true
[all]
spa_key_file = `+path+`
spa_port = 62201, 4000-4010
spa_hmac = sha512
spa_max_age = 60
spa_ipv6 = yes
spa_transport = tcp, http
trusted_proxies = 192.0.2.1
open = tcp/22, udp/60001-60010
deny_ports = udp/60005
allow = 192.0.2.0/24
deny = 192.0.2.66
allow_inside = 10.0.0.0/8
destination = 198.51.100.1
cmd_timeout = 30
max_timeout = 600
require_user = alice
require_source = yes
expires = 2027-01-31
nat_allow = 10.0.0.0/24 tcp/22
nat_only = local
[defaults]
spa_key_file = `+path+`
open = tcp/22
`))
	if err != nil {
		t.Fatal(err)
	}
	pre := netip.MustParsePrefix
	all := &spa.Door{
		DoorID: knock.DoorID{Name: "all", N: 1}, Listen: append(spa.ListenOn(62201, 62201), spa.ListenOn(4000, 4010)...), TCP: true, HTTP: true,
		Proxies: []netip.Prefix{pre("192.0.2.1/32")}, Allow: []netip.Prefix{pre("192.0.2.0/24")}, Deny: []netip.Prefix{pre("192.0.2.66/32")},
		AllowInside: []netip.Prefix{pre("10.0.0.0/8")}, Destination: []netip.Prefix{pre("198.51.100.1/32")},
		Open:      []knock.PortRange{{Proto: knock.TCP, First: 22, Last: 22}, {Proto: knock.UDP, First: 60001, Last: 60010}},
		DenyPorts: []knock.PortRange{{Proto: knock.UDP, First: 60005, Last: 60005}},
		NoForward: true,
		NAT:       []knock.NATTarget{{Net: pre("10.0.0.0/24"), Ports: knock.PortRange{Proto: knock.TCP, First: 22, Last: 22}}},
		Timeout:   30 * time.Second, MaxTimeout: 10 * time.Minute, MaxAge: time.Minute,
		RequireUser: "alice", RequireSource: true, Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.Local), IPv6: true,
	}
	defaults := &spa.Door{
		DoorID: knock.DoorID{Name: "defaults", N: 1}, Listen: spa.ListenOn(spa.DefaultPort, spa.DefaultPort), Open: []knock.PortRange{{Proto: knock.TCP, First: 22, Last: 22}},
		Timeout: config.DefaultCmdTimeout, MaxTimeout: config.DefaultSPAMaxTimeout, MaxAge: config.DefaultSPAMaxAge,
	}
	for i, want := range []*spa.Door{all, defaults} {
		var types []string
		for _, c := range doors[i].Clients {
			types = append(types, c.Name+" "+c.HMAC.String())
		}
		if got, want := fmt.Sprint(types), []string{"[laptop sha512 phone md5]", "[laptop sha256 phone md5]"}[i]; got != want {
			t.Errorf("[%s]: %s, want %s", doors[i].Name, got, want)
		}
		doors[i].Clients = nil
		if diff := cmp.Diff(want, doors[i], cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("[%s] (-want +got)\n%s", want.Name, diff)
		}
	}
}

func TestFaults(t *testing.T) {
	a, b := keyFile(t, "KEY a\n"), keyFile(t, "KEYS x\n")
	_, err := spaDoors(t, parse(t, "[a]\nspa_key_file = "+a+"\nopen = tcp/22\n[b]\nspa_key_file = "+b+"\nopen = tcp/22\n"))
	want := "knockd.conf:1: [a] spa_key_file: " + a + ":1: client default has no HMAC_KEY; spa_hmac = none would take packets without\n" +
		"knockd.conf:4: [b] spa_key_file: " + b + ":1: unknown name; known are KEY, KEY_BASE64, HMAC_KEY, HMAC_KEY_BASE64, HMAC_DIGEST_TYPE, ENCRYPTION_MODE"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestAdvice(t *testing.T) {
	doors := parse(t, "[a]\nspa_hmac = none\nspa_key_file = "+keyFile(t, "[old]\nKEY a\n")+"\nopen = tcp/22\n")
	d, err := spaDoor(doors[0])
	if err != nil {
		t.Fatal(err)
	}
	got := adviceOn(doors[0], d)
	if len(got) != 2 || !strings.HasPrefix(got[0], "knockd.conf:1: [a] spa_key_file: client old: KEY is a passphrase:") ||
		!strings.HasPrefix(got[1], "knockd.conf:1: [a] spa_key_file: client old: packets have no HMAC:") {
		t.Errorf("%q", got)
	}
}
