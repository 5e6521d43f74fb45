package nft

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		parse    func(string) (fmt.Stringer, error)
		in, want string
		bad      bool
	}{
		{mode, "guard", "guard", false},
		{mode, "set", "set", false},
		{mode, "Mark", `"Mark": must be guard, mark or set`, true},
		{hook, "prerouting", "prerouting", false},
		{hook, "output", `"output": must be input or prerouting`, true},
		{table, " inet  fw ", "inet fw", false},
		{table, "knockd", `"knockd": must be a family and a name, as in: inet knockd (the family must be inet)`, true},
		{table, "ip knockd", `"ip knockd": must be a family and a name, as in: inet knockd (the family must be inet)`, true},
		{marking, "0x20/0xf0", "0x20/0xf0", false},
		{marking, "16", "0x10/0x10", false},
		{marking, "0/1", `"0/1": must be VALUE/MASK with a value above 0 and within the mask, as in: 0x100000/0x100000`, true},
		{marking, "3/1", `"3/1": must be VALUE/MASK with a value above 0 and within the mask, as in: 0x100000/0x100000`, true},
		{marking, "0x1ffffffff", `"0x1ffffffff": must be VALUE/MASK with a value above 0 and within the mask, as in: 0x100000/0x100000`, true},
		{portList, "tcp/22, UDP/60001-60010", "[tcp/22 udp/60001-60010]", false},
		{portList, "22", `"22": must be PROTOCOL/PORT or PROTOCOL/FIRST-LAST, with tcp or udp and ports from 1 to 65535`, true},
		{portList, "tcp/22,", `"": must be PROTOCOL/PORT or PROTOCOL/FIRST-LAST, with tcp or udp and ports from 1 to 65535`, true},
		{portList, "tcp/0", `"tcp/0": must be PROTOCOL/PORT or PROTOCOL/FIRST-LAST, with tcp or udp and ports from 1 to 65535`, true},
		{portList, "tcp/30-20", `"tcp/30-20": must be PROTOCOL/PORT or PROTOCOL/FIRST-LAST, with tcp or udp and ports from 1 to 65535`, true},
		{portList, "tcp/65536", `"tcp/65536": must be PROTOCOL/PORT or PROTOCOL/FIRST-LAST, with tcp or udp and ports from 1 to 65535`, true},
	} {
		v, err := tt.parse(tt.in)
		got := fmt.Sprint(v)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("%q: %s, want %s", tt.in, got, tt.want)
		}
	}
}

func mode(s string) (fmt.Stringer, error)    { return ParseMode(s) }
func hook(s string) (fmt.Stringer, error)    { return ParseHook(s) }
func table(s string) (fmt.Stringer, error)   { return ParseTable(s) }
func marking(s string) (fmt.Stringer, error) { return ParseMarking(s) }

type rangeList []PortRange

func (l rangeList) String() string { return fmt.Sprint([]PortRange(l)) }

func portList(s string) (fmt.Stringer, error) {
	l, err := ParsePorts(s)
	return rangeList(l), err
}

func TestDoorFaults(t *testing.T) {
	t.Parallel()
	good := Door{Name: "ssh", Ports: []PortRange{{6, 22, 22}}}
	for _, tt := range []struct {
		change func(*Door)
		want   string
	}{
		{func(d *Door) { d.Ports = nil }, "door ssh: no ports to open"},
		{func(d *Door) { d.Ports = []PortRange{{6, 0, 1}} }, "door ssh: ports tcp/0-1: must be tcp or udp, from 1 to 65535"},
		{func(d *Door) { d.Timeout = 300 * time.Microsecond }, "door ssh: timeout 300µs: must be at least a second"},
		{func(d *Door) { d.PrefixLen4 = 33 }, "door ssh: prefix lengths 33 and 0: must be from 1 to 32 and from 1 to 128"},
		{func(d *Door) {}, "door ssh: there are two of this name and number"},
	} {
		d := good
		tt.change(&d)
		if _, err := newSpecs(&Options{}, []Door{good, d}); err == nil || err.Error() != tt.want {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}

// FuzzDoorID: nft can read every name, no two doors share one, and comments
// keep within what nft allows.
func FuzzDoorID(f *testing.F) {
	f.Add("ssh", "ssh.2", 2)
	f.Add("a b", "a_b", 0)
	f.Add(strings.Repeat("x", 300), strings.Repeat("x", 301), 1)
	f.Add("Öl", "\xff/2", 12)
	f.Fuzz(func(t *testing.T, a, b string, nth int) {
		nth = max(1, nth%1000)
		id := newDoorID(a, nth)
		if set := "door4_" + string(id); !validName(set) || len(id.comment()) > 127 {
			t.Errorf("%q: %s", a, id)
		}
		if a != b && newDoorID(b, nth) == id || newDoorID(a, nth+1) == id || a != b && nth > 1 && newDoorID(b, 1) == id {
			t.Errorf("%q and %q: %s", a, b, id)
		}
		if back, ok := idFromComment(id.comment()); !ok || back != id {
			t.Errorf("%q: %s", a, back)
		}
	})
}
