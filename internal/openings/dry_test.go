package openings

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"knockd/internal/event"
	"knockd/internal/knock"
)

func TestDry(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	at := func(s float64) time.Time { return begin.Add(time.Duration(s * float64(time.Second))) }
	var log strings.Builder
	write := func(now time.Time, text string) { fmt.Fprintf(&log, "%g %s\n", now.Sub(begin).Seconds(), text) }
	d := NewDry(withShell(map[string]Action{"nft": &fakeKernel{}}, nil), func(now time.Time, e event.Event) { write(now, e.Text()) })
	d.Open(opening("open a", "close a", 10*time.Second), at(0), func() { write(at(0), "OPEN SESAME") })
	d.Advance(at(1))
	d.Open(opening("open b", "close b", 2*time.Second), at(1), nil)
	d.Open(opening("open c", "", 2*time.Second), at(1), nil)
	if next, ok := d.Next(); !ok || !next.Equal(at(3)) {
		t.Errorf("next %v, %v", next, ok)
	}
	d.Advance(at(2.5))
	d.Advance(at(60))
	wantText(t, log.String(), `
0 OPEN SESAME
0 ssh: running command: open a
1 ssh: running command: open b
1 ssh: running command: open c
3 192.0.2.1: ssh: command timeout
3 ssh: running command: close b
10 192.0.2.1: ssh: command timeout
10 ssh: running command: close a
`)
	if _, ok := d.Next(); ok {
		t.Error("something is left")
	}
}

func TestExpand(t *testing.T) {
	v := knock.Vars{IP: "2001:db8::1", Door: "%IP%", Port: "22", Proto: "tcp"}
	got := v.Expand("%IP% %%IP%% %DOOR% %PORT%/%PROTO% %ip% % %IP")
	if want := "2001:db8::1 %2001:db8::1% %IP% 22/tcp %ip% % %IP"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestDryAsLive: what is read from a capture file is what would have been done.
func TestDryAsLive(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	commands := []string{"", "a", "b"}
	type arrival struct {
		at time.Duration
		o  knock.Opening
	}
	var knocks []arrival
	for i := range 300 {
		o := opening(commands[r.IntN(3)], commands[r.IntN(3)], time.Duration(r.IntN(20))*time.Second)
		o.Addr = netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(4))})
		if r.IntN(3) == 0 {
			o.Action, o.What = "nft", "tcp/22"
		}
		// Never two things at one time: their order is free.
		o.Timeout += time.Duration(i) * time.Microsecond
		knocks = append(knocks, arrival{time.Duration(i)*time.Second/3 + time.Duration(r.IntN(1e6))*time.Nanosecond, o})
	}
	synctest.Test(t, func(t *testing.T) {
		k := &fakeKernel{t: t, begin: time.Now(), open: map[string]bool{}, busy: map[string]bool{}}
		m, _, log := fakes(Options{Actions: map[string]Action{"nft": k}})
		begin := time.Now()
		var dryLog fakeLog
		d := NewDry(withShell(map[string]Action{"nft": &fakeKernel{}}, nil), func(now time.Time, e event.Event) {
			fmt.Fprintf(&dryLog.text, "%g %s\n", now.Sub(begin).Seconds(), e.Text())
		})
		for _, k := range knocks {
			time.Sleep(k.at - time.Since(begin))
			synctest.Wait()
			m.Open(k.o, nil)
			synctest.Wait()
			d.Advance(time.Now())
			d.Open(k.o, time.Now(), nil)
		}
		time.Sleep(time.Hour)
		d.Advance(time.Now())
		if diff := cmp.Diff(log.String(), dryLog.text.String()); diff != "" {
			t.Errorf("seed %d (-live +dry):\n%s", seed, diff)
		}
	})
}
