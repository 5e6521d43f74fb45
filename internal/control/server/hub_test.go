package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/control"
	"knockd/internal/event"
	"knockd/internal/knock"
)

func sesame(door string, n int, addr string) event.Event {
	return event.Admitted{Door: knock.DoorID{Name: door, N: n}, Knocker: event.Knocker{Addr: netip.MustParseAddr(addr)}}
}

// watching watches a hub until it is ended; what it is sent arrives at the
// channel, which holds up the one who watches while nobody takes it, and is closed
// when the hub ends.
func watching(t *testing.T, h *Hub, rank control.Rank, which control.Selection) (replies chan control.WatchReply, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	replies = make(chan control.WatchReply)
	done := make(chan struct{})
	c := &Call{More: true, send: func(text []byte) error {
		var r struct{ Parameters control.WatchReply }
		if err := json.Unmarshal(text[:len(text)-1], &r); err != nil {
			t.Error(err)
		}
		select {
		case replies <- r.Parameters:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	go func() {
		defer close(done)
		if h.Watch(ctx, c, rank, which) == nil {
			close(replies)
		}
	}()
	if first := <-replies; first.Events == nil || len(first.Events) != 0 {
		t.Errorf("first %+v", first)
	}
	return replies, func() {
		cancel()
		<-done
	}
}

// TestWatch: each is told what his rank and his selection have.
func TestWatch(t *testing.T) {
	stage := event.Stage{Door: knock.DoorID{Name: "ssh", N: 1}, Knocker: event.Knocker{Addr: netip.MustParseAddr("192.0.2.7")}, Stage: 1, Steps: 3}
	events := []event.Event{
		stage, sesame("ssh", 1, "192.0.2.7"), sesame("ssh", 2, "192.0.2.7"), sesame("ssh", 1, "192.0.2.8"),
		event.PacketsLost{Packets: 7}, event.Packet{},
	}
	for _, c := range []struct {
		rank  control.Rank
		which control.Selection
		want  []int
	}{
		{control.Admin, control.Selection{}, []int{0, 1, 2, 3, 4}},
		{control.Reader, control.Selection{}, []int{1, 2, 3}},
		{control.Reader, control.Selection{Door: "ssh#2"}, []int{2}},
		{control.Admin, control.Selection{Door: "ssh", Address: netip.MustParseAddr("192.0.2.7")}, []int{0, 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &Hub{}
			replies, end := watching(t, h, c.rank, c.which)
			defer end()
			var want []string
			for _, e := range events {
				h.Event(time.Now(), e)
			}
			for _, i := range c.want {
				want = append(want, events[i].Text())
			}
			var got []string
			for len(got) < len(want) {
				for _, e := range (<-replies).Events {
					got = append(got, e.Text)
				}
			}
			synctest.Wait()
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%v %+v:\n%q\nwant %q", c.rank, c.which, got, want)
			}
		})
	}
}

// TestDeaf: who does not take his events loses them, is told how many, and holds
// up nobody.
func TestDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Hub{}
		replies, end := watching(t, h, control.Reader, control.Selection{})
		defer end()
		h.Event(time.Now(), sesame("ssh", 1, "192.0.2.7"))
		synctest.Wait() // a reply with it is under way
		for range maxWaiting + 100 {
			h.Event(time.Now(), sesame("ssh", 1, "192.0.2.8"))
		}
		events, lost := 0, 0
		for events+lost < 1+maxWaiting+100 {
			r := <-replies
			if len(r.Events) > maxAtOnce {
				t.Fatal(len(r.Events), "at once")
			}
			events, lost = events+len(r.Events), lost+r.Lost
		}
		if events != 1+maxWaiting || lost != 100 {
			t.Errorf("%d events, %d lost", events, lost)
		}
	})
}

// TestEnd: at the end those who watch get what there is, and then a last reply;
// who does not take it is not waited for.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Hub{}
		replies, _ := watching(t, h, control.Reader, control.Selection{})
		_, end := watching(t, h, control.Reader, control.Selection{}) // deaf
		defer end()
		for range 100 {
			h.Event(time.Now(), sesame("ssh", 1, "192.0.2.7"))
		}
		ended := make(chan struct{})
		go func() {
			h.End()
			close(ended)
		}()
		events := 0
		for r := range replies {
			events += len(r.Events)
		}
		<-ended
		err := h.Watch(t.Context(), nil, control.Reader, control.Selection{})
		if events != 100 || fmt.Sprint(err) != "knockd ends" {
			t.Errorf("%d events, %v", events, err)
		}
	})
}

// TestAdmins: it is said when an admin watches, and when none does any more.
func TestAdmins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := 0
		h := &Hub{Admins: func() { said++ }}
		var ends []func()
		for _, rank := range []control.Rank{control.Reader, control.Admin, control.Admin} {
			_, end := watching(t, h, rank, control.Selection{})
			ends = append(ends, end)
		}
		if said != 1 || !h.Watched() {
			t.Error(said, h.Watched())
		}
		for _, end := range ends {
			end()
		}
		if said != 2 || h.Watched() {
			t.Error(said, h.Watched())
		}
	})
}
