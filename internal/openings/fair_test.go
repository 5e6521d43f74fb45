package openings

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/knock"
)

// at returns an opening of one of many doors.
func at(door string, occurrence int, o knock.Opening) knock.Opening {
	o.Door, o.Vars.Door = knock.DoorID{Name: door, N: occurrence}, door
	return o
}

// TestShares: whatever one door has, another finds room.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		limit int
		want  []int // what each of the doors gets that come one after the other
	}{
		{MaxRunning, []int{64, 32, 16, 8, 4, 2, 1, 1, 0}},
		{64, []int{32, 16, 8, 4, 2, 1, 1, 0}},
		{10, []int{5, 2, 1, 1, 1, 0}},
		{3, []int{1, 1, 1, 0}},
		{2, []int{1, 1, 0}},
		{1, []int{1, 0}},
		{0, []int{0}},
	} {
		s := newShares(c.limit)
		for i, want := range c.want {
			door := knock.DoorID{Name: "door", N: i} // of one name
			for s.admits(s.has(door)) {
				s.take(door)
			}
			if got := s.has(door); got != want {
				t.Errorf("of %d door %d gets %d, want %d", c.limit, i, got, want)
			}
		}
	}
}

// TestSharesModel: doors, few and ten thousand of them, take places and give
// them back. None gets more than are left, none that has nothing is refused
// while there is one, and nothing stays behind.
func TestSharesModel(t *testing.T) {
	for _, n := range []int{1, 2, 7, 10_000} {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		s, has, taken := newShares(500), map[knock.DoorID]int{}, 0
		for range 50_000 {
			door := knock.DoorID{Name: "door", N: int(float64(n) * math.Pow(r.Float64(), 5))}
			if r.IntN(3) == 0 && has[door] > 0 {
				s.giveBack(door)
				has[door]--
				taken--
				continue
			}
			free := 500 - taken
			want := free > 0 && (has[door] == 0 || has[door]+1 <= free-1)
			if got := s.admits(s.has(door)); got != want {
				t.Fatalf("seed %d: a door with %d, %d free: admitted %v", seed, has[door], free, got)
			} else if got {
				s.take(door)
				has[door]++
				taken++
			}
		}
		for door, k := range has {
			for range k {
				s.giveBack(door)
			}
		}
		if s.taken != 0 || len(s.of) != 0 {
			t.Errorf("seed %d: %d taken, %d shares are left", seed, s.taken, len(s.of))
		}
	}
}

// TestHangingHoldsUpNobody: whatever hangs at one door, or at three, another
// one opens and closes on time, also if it bears the same name, with commands
// and without.
func TestHangingHoldsUpNobody(t *testing.T) {
	hangs := native(0)
	hangs.Args.Value = "hang"
	hangs.Timeout = time.Second // and so its stops hang, too
	for name, guest := range map[string]knock.Opening{
		"starts": opening("hang", "true", 0), "stops": opening("true", "hang", 0), "kernel": hangs,
	} {
		for _, doors := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s of %d", name, doors), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := &fakeKernel{t: t, begin: time.Now(), open: map[string]bool{}, busy: map[string]bool{}}
					m, shell, log := fakes(Options{Actions: map[string]Action{"nft": k}})
					for i := range 200 * doors {
						o := at("guest", i%doors, guest)
						o.Addr = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
						o.Vars.IP = o.Addr.String()
						m.Open(o, nil)
					}
					time.Sleep(2 * time.Second)
					log.forget()
					m.Open(at("guest", doors, opening("open", "close", time.Second)), nil)
					n := native(time.Second)
					m.Open(at("guest", doors, n), nil)
					time.Sleep(10 * time.Second)
					wantText(t, strings.ReplaceAll(log.String(), "2 guest: opened tcp/22 for 192.0.2.1 (1 s)\n", ""), `
2 guest: running command: open
3 192.0.2.1: guest: command timeout
3 guest: running command: close
3 guest: closed for 192.0.2.1
`)
					if ran := shell.lines(); ran[len(ran)-1] != "3 close" {
						t.Errorf("last command: %q", ran[len(ran)-1])
					}
					m.Shutdown(t.Context())
				})
			})
		}
	}
}

// TestWaiting: an opening that has to wait for others of its door says so, and
// those that wait get their turn by need, then by age.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, log := fakes(Options{Workers: 4})
		for i, door := range []string{"a", "a", "a", "b", "b", "b", "c", "a"} {
			m.Open(at(door, 0, opening(fmt.Sprintf("sleep 1s; %s%d", door, i), "", 0)), nil)
			time.Sleep(time.Millisecond)
		}
		m.Close(func(o *knock.Opening) bool { return strings.HasSuffix(o.Args.Start, "a7") }, "test")
		time.Sleep(time.Minute)
		wantText(t, log.String(), `
0 a: running command: sleep 1s; a0
0.001 a: running command: sleep 1s; a1
0.002 192.0.2.1: a: start command waits: 2 of this door run, 2 in all
0.003 b: running command: sleep 1s; b3
0.004 192.0.2.1: b: start command waits: 1 of this door run, 3 in all
0.005 192.0.2.1: b: start command waits: 1 of this door run, 3 in all
0.006 c: running command: sleep 1s; c6
0.007 192.0.2.1: a: start command waits: 2 of this door run, 4 in all
0.008 192.0.2.1: a: not opened: test
1.001 a: running command: sleep 1s; a2
1.003 b: running command: sleep 1s; b4
2.001 b: running command: sleep 1s; b5
`)
		if m.Pending() != 0 || m.s.busy() || len(m.s.crewOf["command"].starts.of) != 0 || len(m.s.places.of) != 0 {
			t.Errorf("%d are held, %v busy, %d shares", m.Pending(), m.s.busy(), len(m.s.places.of))
		}
	})
}

// TestWaitingCostsNoMemory: an opening that was dropped is in no line any more,
// however long that does not move.
func TestWaitingCostsNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, _ := fakes(Options{})
		for range 100 {
			m.Open(opening("hang", "true", 0), nil)
		}
		for i := range 3000 {
			o := opening("true", "true", 0)
			o.Addr = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			m.Open(o, nil)
			if i%2 == 0 {
				m.Close(func(p *knock.Opening) bool { return p.Addr == o.Addr }, "test")
			}
			if i > 10 && i%2 == 1 { // one in the middle
				m.Close(func(p *knock.Opening) bool {
					return p.Addr == netip.AddrFrom4([4]byte{10, 0, byte((i - 10) >> 8), byte(i - 10)})
				}, "test")
			}
		}
		if d := m.s.crewOf["command"].starts.share(knock.DoorID{Name: "ssh", N: 0}); len(d.line) > 50 || m.Pending() > 150 {
			t.Errorf("%d wait, %d are held", len(d.line), m.Pending())
		}
		m.Shutdown(t.Context())
		if m.s.busy() {
			t.Error("something still waits")
		}
	})
}

// TestGuestFillsHisShare: a door that is open for as many as can be leaves room
// to another one, in the next run of the daemon too; who extends his opening,
// or opens nothing, needs none.
func TestGuestFillsHisShare(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{t: t, begin: time.Now(), open: map[string]bool{}, busy: map[string]bool{}}
		natives := map[string]Action{"nft": k}
		j := mustOpen(t, dir, "boot")
		m, shell, _ := fakes(Options{Actions: natives, Journal: j})
		guest := func(i int) knock.Opening {
			o := at("guest", 0, native(time.Hour))
			o.Addr = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
			o.Vars.IP = o.Addr.String()
			return o
		}
		try := func(m *Manager, o knock.Opening, want bool) {
			t.Helper()
			if got := m.Open(o, nil); got != want {
				t.Errorf("%s for %s: opened %v", o.Door, o.Addr, got)
			}
			synctest.Wait()
		}
		opened := 0
		for i := range MaxWaiting {
			if m.Open(guest(i), nil) {
				opened++
			}
		}
		if opened != MaxWaiting/2 {
			t.Errorf("guest opened %d times", opened)
		}
		time.Sleep(time.Second)
		try(m, guest(0), true)
		try(m, at("guest", 0, opening("", "", 0)), true)
		try(m, at("guest", 0, opening("true", "true", 0)), false)
		try(m, at("guest", 1, native(time.Minute)), true)
		try(m, at("admin", 0, opening("true", "true", 0)), true)
		m.kill(shell)

		j = mustOpen(t, dir, "boot")
		m = New(Options{Actions: withShell(natives, shell), Log: &fakeLog{begin: time.Now()}, Journal: j, Now: time.Now})
		m.Adopt()
		try(m, guest(MaxWaiting), false)
		try(m, guest(1), true)
		try(m, at("admin", 0, opening("true", "true", 0)), true)
		time.Sleep(2 * time.Hour)
		if m.Pending() != 0 || len(m.s.places.of) != 0 {
			t.Errorf("%d held, %d shares", m.Pending(), len(m.s.places.of))
		}
		try(m, guest(MaxWaiting), true)
		m.Shutdown(t.Context())
		j.Close()
	})
}
