package spa

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
)

// accessDoors turns a scenario's access.conf into doors: as much of the format
// as the scenarios use.
// anywhere permits NAT as fwknopd does where it is enabled.
var anywhere = []knock.NATTarget{{Net: netip.MustParsePrefix("0.0.0.0/0"), Ports: knock.PortRange{Proto: knock.TCP, First: 1, Last: 65535}}, {Net: netip.MustParsePrefix("0.0.0.0/0"), Ports: knock.PortRange{Proto: knock.UDP, First: 1, Last: 65535}}}

func accessDoors(t *testing.T, access, server string) []*Door {
	var doors []*Door
	var keys string
	finish := func() {
		if len(doors) > 0 {
			d := doors[len(doors)-1]
			clients, err := ParseKeys("access.conf", []byte(keys), 0)
			if err != nil {
				t.Fatal(err)
			}
			d.Clients, keys = clients, ""
		}
	}
	for line := range strings.Lines(access) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "SOURCE" {
			finish()
			d := wideDoor()
			d.Name, d.MaxAge = strconv.Itoa(len(doors)), serverAge(t, server)
			d.AllowInside = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
			if strings.Contains(server, "ENABLE_IPT_FORWARDING Y") || strings.Contains(server, "ENABLE_IPT_LOCAL_NAT Y") {
				d.NAT = anywhere
			}
			doors = append(doors, d)
		}
		if strings.HasPrefix(name, "KEY") || strings.HasPrefix(name, "HMAC") {
			keys += line
			continue
		}
		setAccess(t, doors[len(doors)-1], name, value)
	}
	finish()
	return doors
}

func serverAge(t *testing.T, server string) time.Duration {
	for line := range strings.Lines(server) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "MAX_SPA_PACKET_AGE "); ok {
			return seconds(t, v)
		}
	}
	return defaultMaxAge
}

func seconds(t *testing.T, s string) time.Duration {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * time.Second
}

func setAccess(t *testing.T, d *Door, name, value string) {
	switch name {
	case "SOURCE":
		d.Allow = accessPrefixes(value)
	case "DESTINATION":
		d.Destination = accessPrefixes(value)
	case "OPEN_PORTS":
		d.Open = accessPorts(t, value)
	case "RESTRICT_PORTS":
		d.DenyPorts = accessPorts(t, value)
	case "FW_ACCESS_TIMEOUT", "CMD_CYCLE_TIMER":
		d.Timeout = seconds(t, value)
	case "MAX_FW_TIMEOUT":
		d.MaxTimeout = seconds(t, value)
	case "REQUIRE_SOURCE_ADDRESS", "REQUIRE_SOURCE":
		d.RequireSource = value == "Y"
	case "REQUIRE_USERNAME":
		d.RequireUser = value
	case "ACCESS_EXPIRE":
		day, err := time.ParseInLocation("01/02/2006", value, time.Local)
		if err != nil {
			t.Fatal(err)
		}
		d.Expires = day
	case "ACCESS_EXPIRE_EPOCH":
		d.Expires = time.Unix(int64(seconds(t, value)/time.Second), 0)
	case "CMD_CYCLE_OPEN", "CMD_CYCLE_CLOSE", "ENABLE_CMD_EXEC":
	default:
		t.Fatalf("unknown name %s", name)
	}
}

func accessPrefixes(value string) []netip.Prefix {
	var all []netip.Prefix
	for s := range strings.SplitSeq(value, ",") {
		s = strings.TrimSpace(strings.Replace(s, "/255.255.255.0", "/24", 1))
		switch {
		case s == "ANY":
			return nil
		case strings.Contains(s, "/"):
			all = append(all, netip.MustParsePrefix(s))
		default:
			all = append(all, netip.PrefixFrom(netip.MustParseAddr(s), 32))
		}
	}
	return all
}

// accessPorts reads a port list; a port written twice never matches in fwknopd.
func accessPorts(t *testing.T, value string) []knock.PortRange {
	var all []knock.PortRange
	value = strings.ReplaceAll(value, " ", "")
	ports, err := ParsePorts(value)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ports {
		if strings.Count(strings.ReplaceAll(","+value+",", ",", ",,"), ","+p.Ports().String()+",") == 1 {
			all = append(all, knock.PortRange{Proto: p.Proto, First: p.Port, Last: p.Port})
		}
	}
	if all == nil {
		all = []knock.PortRange{{Proto: knock.TCP}}
	}
	return all
}
