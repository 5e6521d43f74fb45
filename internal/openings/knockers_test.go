package openings

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/knock"
)

// randomOpening is for one of few addresses, or a network around it.
func randomOpening(r *rand.Rand, i int) knock.Opening {
	o := at([]string{"a", "b"}[r.IntN(2)], 0, opening(fmt.Sprintf("open %d", i), fmt.Sprintf("close %d", i), time.Hour))
	o.Addr = randomAddr(r)
	o.Vars.IP = o.Addr.String()
	switch r.IntN(4) {
	case 0:
		o.Vars.IP = ""
	case 1:
		p, _ := o.Addr.Prefix(o.Addr.BitLen() - r.IntN(5))
		o.Vars.IP = p.String()
	}
	return o
}

func randomAddr(r *rand.Rand) netip.Addr {
	if r.IntN(3) == 0 {
		return netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(r.IntN(32))})
	}
	return netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(32))})
}

// TestCloseFor: what is closed for an address is what a look at each opening
// finds, and nothing stays behind of those that have ended.
func TestCloseFor(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	synctest.Test(t, func(t *testing.T) {
		m, _, _ := fakes(Options{})
		for i := range 3000 {
			m.Open(randomOpening(r, i), nil)
			synctest.Wait()
			if r.IntN(4) > 0 {
				continue
			}
			a, door := randomAddr(r), []string{"a", "b"}[r.IntN(2)]
			want := 0
			for _, o := range m.Openings() {
				p, err := netip.ParsePrefix(o.Vars.IP)
				if o.Door.Name == door && (o.Addr == a || err == nil && p.Contains(a)) {
					want++
				}
			}
			if got := m.CloseFor(a, func(o *knock.Opening) bool { return o.Door.Name == door }, "test"); got != want {
				t.Fatalf("seed %d: %d closed for %s, want %d", seed, got, a, want)
			}
			synctest.Wait()
		}
		m.Shutdown(t.Context())
		if k := &m.s.knockers; len(k.first) != 0 || len(k.widths) != 0 {
			t.Errorf("seed %d: %d networks, %d widths are left", seed, len(k.first), len(k.widths))
		}
	})
}

// TestCloseForInOrder: the oldest first, whatever they are for.
func TestCloseForInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, shell, _ := fakes(Options{})
		var want []string
		for i, ip := range []string{"192.0.2.0/24", "", "192.0.2.1", "192.0.2.0/30", "192.0.2.0/24"} {
			o := opening("open", fmt.Sprintf("close %d; sleep 1s", i), time.Hour)
			o.Vars.IP = ip
			m.Open(o, nil)
			want = append(want, fmt.Sprintf("close %d; sleep 1s", i))
		}
		synctest.Wait()
		m.s.crewOf["command"].stops.limit = 1 // one after the other
		m.CloseFor(netip.MustParseAddr("192.0.2.1"), func(*knock.Opening) bool { return true }, "test")
		time.Sleep(time.Minute)
		var got []string
		for _, line := range shell.lines()[5:] {
			_, line, _ = strings.Cut(line, " ")
			got = append(got, line)
		}
		if !slices.Equal(got, want) {
			t.Errorf("closed %q", got)
		}
	})
}

// BenchmarkCloseFor is a knock that closes nothing while one door is open for as
// many as it can be.
func BenchmarkCloseFor(b *testing.B) {
	m := New(Options{Actions: withShell(nil, idleShell{}), Log: discard{}})
	for i := range benchOpenings {
		m.Open(benchOpening(i), nil)
	}
	knocker := netip.MustParseAddr("192.0.2.1")
	for b.Loop() {
		m.CloseFor(knocker, func(*knock.Opening) bool { return true }, "a knock")
	}
	m.Shutdown(b.Context())
}
