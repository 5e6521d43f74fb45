package nft

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"knockd/internal/knock"
)

func TestDoorFaults(t *testing.T) {
	t.Parallel()
	good := Door{DoorID: knock.DoorID{Name: "ssh"}, Ports: []knock.PortRange{{Proto: 6, First: 22, Last: 22}}}
	for _, tt := range []struct {
		change func(*Door)
		want   string
	}{
		{func(d *Door) { d.Ports = nil }, "door ssh: no ports to open"},
		{func(d *Door) { d.Ports = []knock.PortRange{{Proto: 6, First: 0, Last: 1}} }, "door ssh: ports tcp/0-1: must be tcp or udp, from 1 to 65535"},
		{func(d *Door) { d.Timeout = 300 * time.Microsecond }, "door ssh: timeout 300µs: must be at least a second"},
		{func(d *Door) { d.PrefixLen4 = 33 }, "door ssh: prefix lengths 33 and 0: must be from 1 to 32 and from 1 to 128"},
		{func(d *Door) {}, "door ssh: there are two of this name and number"},
	} {
		d := good
		tt.change(&d)
		if _, err := newSpecs(&Options{Mode: Guard}, []Door{good, d}); err == nil || err.Error() != tt.want {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}

// readable is a name that nft can read back.
var readable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]{0,127}$`)

// FuzzDoorID: nft can read every name, no two doors share one, and comments
// keep within what nft allows.
func FuzzDoorID(f *testing.F) {
	f.Add("ssh", "ssh.2", 2)
	f.Add("a b", "a_b", 0)
	f.Add(strings.Repeat("x", 300), strings.Repeat("x", 301), 1)
	f.Add("Öl", "\xff/2", 12)
	f.Fuzz(func(t *testing.T, a, b string, nth int) {
		nth = max(1, nth%1000)
		id := newKernelName(knock.DoorID{Name: a, N: nth})
		if set := "door4_" + string(id); !readable.MatchString(set) || len(id.comment()) > 127 {
			t.Errorf("%q: %s", a, id)
		}
		if a != b && newKernelName(knock.DoorID{Name: b, N: nth}) == id || newKernelName(knock.DoorID{Name: a, N: nth + 1}) == id || a != b && nth > 1 && newKernelName(knock.DoorID{Name: b, N: 1}) == id {
			t.Errorf("%q and %q: %s", a, b, id)
		}
		if back, ok := idFromComment(id.comment()); !ok || back != id {
			t.Errorf("%q: %s", a, back)
		}
	})
}
