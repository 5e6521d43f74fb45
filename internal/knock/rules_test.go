package knock_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/conformance"
	"knockd/internal/knock"
)

func TestRules(t *testing.T) { runRules(t, "testdata/rules.txt") }

// TestSharedPorts: a step that takes many ports does not change what others
// have to do with one of them.
func TestSharedPorts(t *testing.T) {
	const wild, fixed = "w: 1,* ports 1-65535", "f: 7,65535"
	for _, doors := range [][]string{{wild, fixed}, {fixed, wild}, {wild, fixed, wild}, {fixed, wild, fixed}} {
		tracker := newTracker(t, 10, doors...)
		got := script(t, tracker, "0 10.0.0.1 7\n0 10.0.0.1 65535\n1 10.0.0.2 65535\n")
		if opened := strings.Count(got, "OPEN f"); opened != strings.Count(strings.Join(doors, " "), "f:") || strings.Contains(got, "0.2,") {
			t.Errorf("%v:\n%s", doors, got)
		}
	}
}

// TestCooldownOutlivesChange: a door that gets its next one-time sequence is
// the same door; one that went and came back is not.
func TestCooldownOutlivesChange(t *testing.T) {
	tracker := newTracker(t, 10, "a: 1:udp cooldown 100", "all: 2:udp cooldown 100 scope door")
	play := func(want string) {
		t.Helper()
		if got := script(t, tracker, "1 10.0.0.1 1:udp\n1 10.0.0.1 2:udp"); strings.Count(got, "OPEN") != strings.Count(want, "OPEN") {
			t.Errorf("got %s", got)
		}
	}
	play("OPEN OPEN")
	tracker.SetDoors([]*knock.Door{door(t, "x: 9"), door(t, "a: 1:udp cooldown 100"), door(t, "all: 2:udp cooldown 100 scope door")})
	play("")
	tracker.SetDoors(nil)
	tracker.SetDoors([]*knock.Door{door(t, "a: 1:udp cooldown 100"), door(t, "all: 2:udp cooldown 100 scope door")})
	play("OPEN OPEN")
}

// source is the n-th of many addresses.
func source(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// TestCooldownsAreBounded: beyond the bound the first ones end early.
func TestCooldownsAreBounded(t *testing.T) {
	tracker := newTracker(t, 10, "a: 1:udp cooldown 100")
	opens := func(n int) bool {
		h := knock.Hit{Src: source(n), Dst: conformance.Local[0], DstPort: 1, Proto: knock.UDP}
		return len(tracker.Observe(h, start)) == 2
	}
	for n := range 3 * knock.MaxCooldowns {
		if !opens(n) {
			t.Fatal("the door is shut for somebody new")
		}
	}
	if n := tracker.Remembered(); n != knock.MaxCooldowns {
		t.Errorf("%d cooldowns, want %d", n, knock.MaxCooldowns)
	}
	if opens(2*knock.MaxCooldowns) || !opens(0) {
		t.Error("not the first ones were forgotten")
	}
}

func TestMaxFailures(t *testing.T) {
	const doors = "a: 1,2 timeout 1000"
	for _, test := range []struct{ name, script string }{{
		"as many failures in the time lead to being ignored, and it ends", `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		0 10.0.0.1 1 |
		1 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		1 10.0.0.1 1 |
		59.9 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		59.9 10.0.0.1 1 | IGNORED a 10.0.0.1
		60 10.0.0.1 1 |
		60 10.0.0.2 1 | STAGE 1 a 10.0.0.2
		60 10.0.0.2 2 | STAGE 2 a 10.0.0.2, OPEN a 10.0.0.2
		659.8 10.0.0.1 1 |
		659.9 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		659.9 10.0.0.1 1 |
		660 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		660 10.0.0.1 1 |
		661 10.0.0.1 1 | STAGE 1 a 10.0.0.1`,
	}, {
		"in more time they do not", `
		0 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		0 10.0.0.1 1 |
		1 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		1 10.0.0.1 1 |
		60 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		60 10.0.0.1 1 |
		60.9 10.0.0.1 1 | STAGE 1 a 10.0.0.1
		60.9 10.0.0.1 1 | IGNORED a 10.0.0.1`,
	}, {
		"never some networks, nor those who are spared", `
		0 192.0.2.1 1 | STAGE 1 a 192.0.2.1
		0 192.0.2.1 1 |
		0 192.0.2.1 1 | STAGE 1 a 192.0.2.1
		0 192.0.2.1 1 |
		0 192.0.2.1 1 | STAGE 1 a 192.0.2.1
		0 192.0.2.1 1 |
		0 192.0.2.1 1 | STAGE 1 a 192.0.2.1
		1 10.0.0.9 1 | STAGE 1 a 10.0.0.9
		1 10.0.0.9 1 |
		1 10.0.0.9 1 | STAGE 1 a 10.0.0.9
		1 10.0.0.9 1 |
		1 10.0.0.9 1 | STAGE 1 a 10.0.0.9
		1 10.0.0.9 1 |
		1 10.0.0.9 1 | STAGE 1 a 10.0.0.9`,
	}} {
		t.Run(test.name, func(t *testing.T) {
			tracker := newTracker(t, 10, doors)
			tracker.SetFailureLimit(knock.FailureLimit{Count: 3, Within: time.Minute, For: 10 * time.Minute},
				[]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, func(a netip.Addr) bool { return a == source(9) })
			var want strings.Builder
			for line := range strings.SplitSeq(strings.TrimSpace(test.script), "\n") {
				want.WriteString(strings.TrimSpace(line) + "\n")
			}
			if diff := cmp.Diff(want.String(), script(t, tracker, test.script)); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

// TestIgnoredAreBounded: 64 new ones a minute, 1,024 at once, and the memory
// of failures has an end.
func TestIgnoredAreBounded(t *testing.T) {
	tracker := newTracker(t, 1000, "a: 1:udp,2:udp timeout 5")
	tracker.SetFailureLimit(knock.FailureLimit{Count: 2, Within: 24 * time.Hour, For: 24 * time.Hour}, nil, nil)
	fail := func(n int, at time.Duration) (ignored bool) {
		h := knock.Hit{Src: source(n), Dst: conformance.Local[0], DstPort: 1, Proto: knock.UDP}
		for range 4 {
			for _, e := range tracker.Observe(h, start.Add(at)) {
				ignored = ignored || e.Kind == knock.Ignored
			}
		}
		return ignored
	}
	total := 0
	for minute := range 20 {
		for n := range 200 {
			if got := fail(1000*minute+n, time.Duration(minute)*time.Minute); got != (n < 64 && total < 1024) {
				t.Fatalf("minute %d, source %d: ignored %v after %d", minute, n, got, total)
			} else if got {
				total++
			}
		}
	}
	if total != 1024 {
		t.Errorf("%d ignored", total)
	}
	// A day later all are forgotten, and others take their place.
	if !fail(5_000_000, 25*time.Hour) {
		t.Error("nobody can be ignored any more")
	}
	for n := range 3 * knock.MaxFailures {
		h := knock.Hit{Src: source(n), Dst: conformance.Local[0], DstPort: 1, Proto: knock.UDP}
		tracker.Observe(h, start.Add(26*time.Hour))
		tracker.Observe(h, start.Add(26*time.Hour))
	}
	if failures, tallies := tracker.Failures(); failures > knock.MaxFailures || tallies > failures {
		t.Errorf("%d failures of %d sources are remembered", failures, tallies)
	}
}

// TestNetworks compares look-ups with a walk through the list.
func TestNetworks(t *testing.T) {
	var list []netip.Prefix
	for _, text := range []string{"10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32", "192.0.2.128/25", "0.0.0.0/32",
		"255.255.255.255/32", "2001:db8::/32", "2001:db8:1::/48", "fe80::/10", "::1/128", "::ffff:0:0/96"} {
		list = append(list, netip.MustParsePrefix(text))
	}
	for _, text := range []string{"0.0.0.0", "0.0.0.1", "9.255.255.255", "10.0.0.0", "10.1.2.3", "10.255.255.255", "11.0.0.0",
		"192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.127", "192.0.2.128", "192.0.2.255", "192.0.3.0", "255.255.255.255",
		"::", "::1", "::2", "::ffff:10.0.0.1", "2001:db7:ffff::", "2001:db8::", "2001:db8:1::1", "2001:db9::", "fe80::1", "febf::1", "fec0::"} {
		addr, want := netip.MustParseAddr(text), false
		for _, p := range list {
			want = want || p.Contains(addr)
		}
		if got := knock.Has(list, addr); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if knock.Has(nil, source(1)) || !knock.Has([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, source(1)) {
		t.Error("nothing has everything, or everything nothing")
	}
}

// TestPageOfPorts: every port finds its own doors.
func TestPageOfPorts(t *testing.T) {
	tracker := newTracker(t, 10, "a: * ports 1-65535", "b: *:udp ports 256-511")
	for port := range 65536 {
		for _, proto := range []knock.Protocol{knock.TCP, knock.UDP, 1} {
			h := knock.Hit{Src: source(port), Dst: conformance.Local[0], DstPort: uint16(port), Proto: proto, Seq: uint32(port)}
			want := proto == knock.TCP && port > 0 || proto == knock.UDP && port>>8 == 1
			if got := len(tracker.Observe(h, start)) == 2; got != want {
				t.Fatal(fmt.Sprint(proto, " ", port, ": ", got))
			}
		}
	}
}
