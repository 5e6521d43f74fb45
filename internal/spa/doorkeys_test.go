package spa

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDoorSet(t *testing.T) {
	show := map[string]func(d *Door) any{
		"spa_key_file": func(d *Door) any { return d.KeyFile }, "spa_port": func(d *Door) any { return d.Listen }, "spa_hmac": func(d *Door) any { return d.HMAC },
		"spa_max_age": func(d *Door) any { return d.MaxAge }, "spa_ipv6": func(d *Door) any { return d.IPv6 }, "open": func(d *Door) any { return d.Open },
		"deny_ports": func(d *Door) any { return d.Deny }, "allow": func(d *Door) any { return d.Allow }, "allow_inside": func(d *Door) any { return d.AllowInside },
		"destination": func(d *Door) any { return d.Destination }, "require_user": func(d *Door) any { return d.RequireUser },
		"require_source": func(d *Door) any { return d.RequireSource }, "expires": func(d *Door) any { return d.Expires.UTC().Format(time.RFC3339) },
		"cmd_timeout": func(d *Door) any { return d.Timeout }, "max_timeout": func(d *Door) any { return d.MaxTimeout }, "nat_allow": func(d *Door) any { return d.NAT },
	}
	for key := range doorKeys {
		if show[key] == nil || !IsDoorKey(key) {
			t.Errorf("%s is not tested", key)
		}
	}
	const seconds = "must be a number of seconds from "
	for _, c := range [][3]string{
		{"spa_key_file", "/etc/knockd/ssh.keys", "/etc/knockd/ssh.keys"},
		{"spa_key_file", "", "must not be empty"},
		{"spa_port", "62201", "[{udp 62201 62201} {tcp 62201 62201}]"},
		{"spa_port", "53, 4000-4010", "[{udp 53 53} {tcp 53 53} {udp 4000 4010} {tcp 4000 4010}]"},
		{"spa_port", "53,", "an item of the list is empty"},
		{"spa_port", "udp/53", "port: must be between 1 and 65535"},
		{"spa_port", "10-9", "port range 10-9: ends before it begins"},
		{"spa_port", "10-", "port: must be between 1 and 65535"},
		{"spa_hmac", "SHA3_256", "sha3_256"},
		{"spa_hmac", "none", "none"},
		{"spa_hmac", "off", "must be none or one of " + HashNames},
		{"spa_max_age", "10", "10s"},
		{"spa_max_age", "0", seconds + "1 to 100000"},
		{"spa_max_age", "1e3", seconds + "1 to 100000"},
		{"spa_ipv6", "Yes", "true"},
		{"spa_ipv6", "1", "must be yes or no"},
		{"require_source", "no", "false"},
		{"require_user", "alice", "alice"},
		{"require_user", "", "must not be empty"},
		{"open", "tcp/22, udp/60001-60010", "[{tcp 22 22} {udp 60001 60010}]"},
		{"open", "22", "port: must be written tcp/N, udp/N or with a range N-M"},
		{"open", "", "an item of the list is empty"},
		{"deny_ports", "tcp/0", "port: must be between 1 and 65535"},
		{"allow", "192.0.2.0/24, 2001:db8::/32 ,198.51.100.7", "[192.0.2.0/24 2001:db8::/32 198.51.100.7/32]"},
		{"allow", "192.0.2.1/24", "192.0.2.1/24: has bits behind the network, which is 192.0.2.0/24"},
		{"allow", "example.com", `"example.com": must be an address or a network such as 192.0.2.0/24`},
		{"allow", "fe80::1%eth0", `"fe80::1%eth0": must be an address or a network such as 192.0.2.0/24`},
		{"allow_inside", "::ffff:10.0.0.1", "[10.0.0.1/32]"},
		{"destination", "10.9.9.2", "[10.9.9.2/32]"},
		{"expires", "2027-01-31T18:00:00+01:00", "2027-01-31T17:00:00Z"},
		{"expires", "31.1.2027", "must be a day such as 2027-01-31 or a time such as 2027-01-31T18:00:00Z"},
		{"cmd_timeout", "0", "0s"},
		{"cmd_timeout", "-1", seconds + "0 to 2147483647"},
		{"max_timeout", "3600", "1h0m0s"},
		{"nat_allow", "10.0.0.0/24 tcp/22, 10.0.1.7 udp/1-9", "[{10.0.0.0/24 {tcp 22 22}} {10.0.1.7/32 {udp 1 9}}]"},
		{"nat_allow", "10.0.0.0/24", `"10.0.0.0/24": must be a network and a port such as 10.0.0.0/24 tcp/22`},
		{"nat_allow", "inner tcp/22", `"inner": must be an address or a network such as 192.0.2.0/24`},
	} {
		d := NewDoor("x")
		got := textOf(d.Set(c[0], c[1]))
		if got == "" {
			got = fmt.Sprint(show[c[0]](d))
		}
		if got != c[2] {
			t.Errorf("%s = %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
	if got := textOf(NewDoor("x").Set("sequence", "1")); got != "no key of a door with spa_key_file" {
		t.Error(got)
	}
	if day, err := ParseExpires("2027-01-31"); err != nil || !day.Equal(time.Date(2027, 1, 31, 0, 0, 0, 0, time.Local)) {
		t.Errorf("%v, %v", day, err)
	}
}

// TestDoorFromConfig sets up a door as the configuration does, and opens it.
func TestDoorFromConfig(t *testing.T) {
	d := NewDoor("ssh")
	path := filepath.Join(t.TempDir(), "ssh.keys")
	c := NewClient("laptop", SHA512)
	if err := os.WriteFile(path, []byte("[laptop]\n"+c.KeyLines()), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"spa_key_file": path, "open": "tcp/22", "require_source": "yes"} {
		if err := d.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.LoadKeys(); err != nil {
		t.Fatal(err)
	}
	got := outcome(NewGate([]*Door{d}, memory{}).Decide(packet(mustSeal(t, access("10.1.2.3", "tcp/22"), c), "192.0.2.1"), noon))
	if want := "ssh laptop opened [tcp/22] for 10.1.2.3, 30s"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if a := d.Advice(); a != nil {
		t.Errorf("advice: %v", a)
	}
	d.RequireSource = false
	if a := d.Advice(); len(a) != 1 || !strings.HasPrefix(a[0], "require_source = no:") {
		t.Errorf("advice: %v", a)
	}
	if age := LargestAge([]*Door{d, {MaxAge: time.Hour}}); age != time.Hour {
		t.Error(age)
	}
}
