package openings

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// words are some openings as a text: "open 50m0s left".
func words(list []Held) string {
	var all []string
	for _, h := range list {
		text := [...]string{Opening: "opening", Open: "open", Closing: "closing"}[h.Stage]
		if h.Left > 0 {
			text += " " + h.Left.String() + " left"
		}
		if h.Stays {
			text += " for ever"
		}
		if h.Fault != "" {
			text += " (" + h.Fault + ")"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// TestOpenByHand: it waits until the door is open, or has failed for once.
func TestOpenByHand(t *testing.T) {
	for _, c := range []struct {
		start, stop string
		limit       time.Duration
		want        string
		after       time.Duration
	}{
		{"sleep 3s", "close", time.Minute, "open 1h0m0s left", 3 * time.Second},
		{"sleep 3s", "", time.Minute, "open for ever", 3 * time.Second},
		{"exit 3", "close", time.Minute, "open 1h0m0s left (status 3)", 0},
		{"exit 3", "", time.Minute, "open for ever (status 3)", 0},
		{"lack 1h", "close", time.Minute, "opening (start /bin/sh: too many open files)", 0},
		{"sleep 1h", "close", time.Minute, "opening", time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, _, log := fakes(Options{})
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), c.limit)
			defer cancel()
			made := m.OpenByHand(ctx, []knock.Opening{opening(c.start, c.stop, time.Hour)}, func() { log.Event(event.Stopping{}) })
			if got := words(made); got != c.want || time.Since(begin) != c.after {
				t.Errorf("%s, %q: %s after %v, want %s after %v", c.start, c.stop, got, time.Since(begin), c.want, c.after)
			}
			if !strings.HasPrefix(log.String(), "0 waiting for child processes...\n0 ssh: running command") {
				t.Errorf("announced too late:\n%s", log)
			}
			m.Shutdown(t.Context())
		})
	}
}

// TestCloseByHand: it waits until the doors are closed, or that has failed for
// once, and says how many are not.
func TestCloseByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, _ := fakes(Options{})
		for i, stop := range []string{"close", "sleep 2s", "exit 1", "fork", "sleep 50s", "other"} {
			o := opening("open", stop, time.Hour)
			o.Addr = netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			o.Vars.IP = o.Addr.String()
			m.Open(o, nil)
		}
		synctest.Wait()
		all := func(o *knock.Opening) bool { return o.Args.Stop != "other" }
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if n, left := m.CloseByHand(ctx, netip.MustParseAddr("192.0.2.5"), all, "by hand"); n != 0 || left != 0 {
			t.Errorf("%d, %d left", n, left)
		}
		if n, left := m.CloseByHand(ctx, netip.Addr{}, all, "by hand"); n != 5 || left != 3 || time.Since(begin) != 10*time.Second {
			t.Errorf("%d, %d left after %v", n, left, time.Since(begin))
		}
		if n, left := m.CloseByHand(t.Context(), netip.MustParseAddr("192.0.2.5"), func(*knock.Opening) bool { return true }, "by hand"); n != 1 || left != 0 {
			t.Errorf("%d, %d left", n, left)
		}
		m.Shutdown(t.Context())
	})
}

// TestHandAndKnock: a knock does not cut short what was opened by hand, nor does
// a second one; a hand opens for as long as it says, also what a knock has opened
// or is opening.
func TestHandAndKnock(t *testing.T) {
	uid := uint32(1000)
	native := func(timeout time.Duration, uid *uint32) knock.Opening {
		o := opening("", "", timeout)
		o.Action, o.UID = "nft", uid
		return o
	}
	for name, c := range map[string]struct {
		list  []knock.Opening
		pause time.Duration
		want  string
	}{
		"hand, knocks":   {[]knock.Opening{native(time.Hour, &uid), native(time.Minute, nil), native(time.Minute, nil)}, 10 * time.Second, "open 59m40s left"},
		"hand, end":      {[]knock.Opening{native(2*time.Minute, &uid), native(time.Minute, nil)}, 110 * time.Second, "open 1m0s left"},
		"knock, hand":    {[]knock.Opening{native(time.Minute, nil), native(time.Hour, &uid)}, 10 * time.Second, "open 1h0m0s left"},
		"hand, hand":     {[]knock.Opening{native(time.Hour, &uid), native(time.Minute, &uid)}, 10 * time.Second, "open 1m0s left"},
		"knock and hand": {[]knock.Opening{native(time.Minute, nil), native(time.Hour, &uid)}, 0, "open 1h0m0s left"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, _, _ := fakes(Options{Actions: map[string]Action{"nft": &slowNative{pause: time.Second}}})
			for i, o := range c.list {
				if i > 0 {
					time.Sleep(c.pause)
				}
				m.Open(o, nil)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			time.Sleep(time.Second)
			synctest.Wait()
			page, _ := m.Page(0, 10, nil)
			for i := range page {
				page[i].Left = page[i].Left.Round(10 * time.Second)
			}
			if got := words(page); got != c.want {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
			m.Shutdown(t.Context())
		})
	}
}

// slowNative takes its time to open.
type slowNative struct {
	Action
	pause time.Duration
}

func (slowNative) Traits() knock.Traits         { return knock.Traits{} }
func (slowNative) Text(o *knock.Opening) string { return "tcp/22" }

func (s *slowNative) Open(context.Context, *knock.Opening) (int, error) {
	time.Sleep(s.pause)
	return 0, nil
}

func (*slowNative) Close(context.Context, *knock.Opening) (int, error) { return 0, nil }

// TestPages: however openings come and go, pages have all that stay, each once and
// the oldest first.
func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		m, _, _ := fakes(Options{})
		stay, next := map[netip.Addr]bool{}, 0
		begin := func(stays bool) {
			next++
			o := opening("open", "close", time.Hour)
			o.Addr = netip.AddrFrom4([4]byte{10, 0, byte(next >> 8), byte(next)})
			o.Vars.IP = o.Addr.String()
			if stays {
				stay[o.Addr] = true
			}
			m.Open(o, nil)
		}
		for range 300 {
			begin(r.IntN(2) == 0)
		}
		synctest.Wait()
		seen := map[netip.Addr]int{}
		last := uint64(0)
		for {
			most := 1 + r.IntN(20)
			page, until := m.Page(last, most, func(o *knock.Opening) bool { return stay[o.Addr] })
			if until == 0 {
				break
			}
			if len(page) > most {
				t.Fatalf("%d of %d", len(page), most)
			}
			for _, h := range page {
				if h.ID <= last {
					t.Fatalf("%d behind %d", h.ID, last)
				}
				last = h.ID
				seen[h.Addr]++
			}
			last = until
			if next < 400 {
				begin(false)
			}
			m.Close(func(o *knock.Opening) bool { return !stay[o.Addr] && r.IntN(4) == 0 }, "test")
			synctest.Wait()
		}
		for a := range stay {
			if seen[a] != 1 {
				t.Errorf("%v was seen %d times", a, seen[a])
			}
		}
		held := 0
		for _, n := range m.Counts() {
			held += n
		}
		if ids, _ := m.Page(0, 1000, nil); held != len(ids) || held != m.Pending() || !slices.IsSortedFunc(ids, func(a, b Held) int { return int(a.ID) - int(b.ID) }) {
			t.Errorf("%d counted, %d in a page, %d held", held, len(ids), m.Pending())
		}
		m.Shutdown(t.Context())
		if left, _ := m.Page(0, 10, nil); len(left) != 0 {
			t.Error(fmt.Sprint(left))
		}
	})
}
