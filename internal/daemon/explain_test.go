package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/capture"
	"knockd/internal/control"
	"knockd/internal/control/server"
	"knockd/internal/knock"
)

// explained is what an admin hears of packets.
type explained struct {
	replies func() []string
	hangUp  context.CancelFunc
}

func (w *world) explain(who server.Peer, args string) explained {
	ctx, cancel := context.WithCancel(w.t.Context())
	e := explained{w.watch(ctx, who, "Explain", args, true), cancel}
	synctest.Wait()
	return e
}

// texts is what was said of packets so far, and how many were missed.
func (e explained) texts(t *testing.T) (texts []string, missed int) {
	t.Helper()
	time.Sleep(2 * explainPause)
	synctest.Wait()
	for _, text := range e.replies() {
		var r control.ExplainReply
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		missed += r.Missed
		for _, p := range r.Packets {
			name := fmt.Sprintf("%v %s", p.Source, p.Protocol)
			if p.Port != 0 {
				name += fmt.Sprintf("/%d", p.Port)
			}
			for _, v := range p.Verdicts {
				texts = append(texts, name+": "+v.Text)
			}
		}
	}
	return texts, missed
}

func (e explained) says(t *testing.T, want ...string) {
	t.Helper()
	got, missed := e.texts(t)
	if strings.Join(got, "\n") != strings.Join(want, "\n") || missed != 0 {
		t.Errorf("got\n%s\n%d missed; want\n%s", strings.Join(got, "\n"), missed, strings.Join(want, "\n"))
	}
}

func addr4(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}) }

// TestExplain: admins hear what packets were, two at a time, and who has hung up
// costs nothing.
func TestExplain(t *testing.T) {
	atDesk(t, deskDoors, func(w *world) {
		refused := func(who server.Peer, args, want string) {
			t.Helper()
			if got := strings.Join(w.explain(who, args).replies(), "\n"); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		refused(reader, "", `knockd.control.NotAllowed {"method":"knockd.control.Explain"}`)
		refused(root, `{"door":"none"}`, `knockd.control.NoSuchDoor {"door":"none"}`)
		filters := w.packet.filters.Load()
		all := w.explain(root, "")
		one := w.explain(root, `{"address":"192.0.2.7","door":"ssh"}`)
		refused(root, "", `knockd.control.TooMany {"what":"calls of Explain","limit":2}`)
		w.knock("192.0.2.7", 7000, 6000, 7001, 9000)
		w.knock("192.0.2.8", 7000, 8000, 9000, 22)
		w.knock("198.51.100.7", 7000)
		const seven, eight = "192.0.2.7 tcp: ", "192.0.2.8 tcp: "
		all.says(t,
			seven+"step 1 of 3 at ssh",
			seven+"wrong port, one of ssh#2: ssh expected its second step, and the attempt is over",
			seven+"step 1 of 2 at ssh#2, but an attempt does not begin with a packet that another one got",
			seven+"step 1 of 2 at web", seven+"wrong port, one of ssh: web expected its second step, and the attempt is over",
			seven+"step 1 of 2 at end, but an attempt does not begin with a packet that another one got",
			eight+"step 1 of 3 at ssh", eight+"step 2 of 3 at ssh", eight+"step 3 of 3 at ssh: ssh opens",
			"192.0.2.8 tcp/22: no step of a door", "198.51.100.7 tcp: step 1 of 3 at ssh: source not allowed")
		got, _ := one.texts(t)
		if len(got) != 5 || !strings.HasPrefix(got[0], seven) || !strings.HasPrefix(got[4], seven) {
			t.Errorf("%q", got)
		}
		all.hangUp()
		synctest.Wait()
		again := w.explain(root, "")
		again.says(t)
		again.hangUp()
		one.hangUp()
		synctest.Wait()
		w.d.post(func() {
			if len(w.d.asking) > 0 || w.d.engine.AnyFlags() {
				t.Errorf("%d ask, any flags %v", len(w.d.asking), w.d.engine.AnyFlags())
			}
		})
		if n := w.packet.filters.Load() - filters; n != 6 {
			t.Errorf("the filter was set %d times", n)
		}
	})
}

// TestExplainFlood: of a flood is shown a sample, and how many that leaves out; what
// is more than a first hit is in it. Who does not read costs bounded memory, and the
// loop does not wait.
func TestExplainFlood(t *testing.T) {
	atDesk(t, deskDoors, func(w *world) {
		flood := func(from int) {
			for i := from; i < from+3000; i++ {
				c := capture.Captured{}
				c.Hit = knock.Hit{Src: addr4(i), Dst: local4, SrcPort: uint16(i), DstPort: 7001, Proto: knock.TCP, Flags: knock.SYN, Seq: uint32(i + 1<<20)}
				w.packet.packets <- []capture.Captured{c}
			}
			synctest.Wait()
		}
		all := w.explain(root, "")
		flood(0)
		w.knock("192.0.2.7", 6000, 6001)
		flood(3000)
		got, missed := all.texts(t)
		if len(got)+missed != 6002 || len(got) > 250 || missed == 0 {
			t.Errorf("%d packets shown and %d missed", len(got), missed)
		}
		if text := strings.Join(got, "\n"); !strings.Contains(text, "192.0.2.7 tcp: step 2 of 2 at ssh#2: ssh#2 opens") {
			t.Error("an honest knock is not among them")
		}
		deaf := &asking{which: control.Selection{Address: addr4(1)}, wake: make(chan struct{}, 1)}
		w.d.post(func() {
			w.d.asking = append(w.d.asking, deaf)
			for i := range 10 * maxExplained {
				h := knock.Hit{Src: addr4(1), Dst: local4, Proto: knock.TCP, DstPort: 1}
				explainer{w.d}.Explain(time.Unix(int64(i/100), 0), &h, []knock.Verdict{{}})
			}
			w.d.asking = w.d.asking[:len(w.d.asking)-1]
		})
		synctest.Wait()
		if len(deaf.packets) != maxExplained || deaf.missed != 9*maxExplained {
			t.Errorf("%d packets wait, %d missed", len(deaf.packets), deaf.missed)
		}
		all.hangUp()
	})
}
