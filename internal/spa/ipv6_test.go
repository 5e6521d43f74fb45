package spa

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
)

// TestIPv6Extension: what messages with IPv6 addresses are, and what a door
// makes of them with and without spa_ipv6.
func TestIPv6Extension(t *testing.T) {
	for _, v := range readLines[vector](t, "ipv6.jsonl") {
		t.Run(v.Name, func(t *testing.T) {
			c, err := v.client(t)
			if err != nil {
				t.Fatal(err)
			}
			decide := func(ipv6 bool) Verdict {
				door := wideDoor(c)
				door.IPv6 = ipv6
				door.NAT = append([]knock.NATTarget{{Net: netip.MustParsePrefix("2001:db8:9::/64"), Ports: knock.PortRange{Proto: knock.TCP, First: 22, Last: 22}}}, anywhere...)
				return NewVerifier([]*Door{door}, memory{}).Decide(packet(octets(v.Packet), v.Src), time.Unix(v.Timestamp, 0))
			}
			if got := ipv6Text(decide(true)); got != v.Expect {
				t.Errorf("%s, want %s", got, v.Expect)
			}
			without := decide(false)
			if without.Outcome == Opened {
				t.Errorf("without spa_ipv6: %s", ipv6Text(without))
			}
			// What we seal is what was sealed there.
			m, _, err := Open(octets(v.Packet), c)
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := Seal(m, c, SHA256)
			if err != nil {
				t.Fatal(err)
			}
			again, _, err := Open(sealed, c)
			if m.Address.IsUnspecified() {
				m.Address = netip.IPv4Unspecified() // the same to servers
			}
			if err != nil || fmt.Sprint(again) != fmt.Sprint(m) {
				t.Errorf("sealed again: %+v, %v, want %+v", again, err, m)
			}
		})
	}
}

func ipv6Text(d Verdict) string {
	if d.Outcome != Opened {
		return "deny " + d.Reason
	}
	var ports []string
	for _, p := range d.Grant.Ports {
		ports = append(ports, p.Ports().String())
	}
	text := fmt.Sprintf("open %s for %v", strings.Join(ports, ","), d.Grant.Addr)
	if to := d.Grant.NAT; to != nil {
		text += fmt.Sprintf(" to %v", netip.AddrPortFrom(to.Addr, to.Port))
	}
	return text
}
