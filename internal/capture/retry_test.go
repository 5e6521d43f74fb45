package capture

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"knockd/internal/event"
	"knockd/internal/netstate"
	"knockd/internal/nettest"
)

// TestFollowReopens has the socket fail under a reader's hands.
func TestFollowReopens(t *testing.T) {
	client, server := nettest.Pair(t)
	var mu sync.Mutex
	var logged []string
	var f *Followed
	if err := server.Do(func() (err error) {
		f, err = Follow([]string{"eth0"}, wantUDP(7000), func(e event.Event) {
			mu.Lock()
			defer mu.Unlock()
			logged = append(logged, e.Text())
		})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	got := make(chan uint16, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- server.Do(func() error { // where the new socket has to be made
			for {
				batch, err := f.Next()
				for _, p := range batch {
					got <- p.SrcPort
				}
				if err != nil {
					return err
				}
			}
		})
	}()
	for range 3 {
		send(t, client, nettest.Server4, 7000)
		select {
		case <-got:
		case <-time.After(nettest.Patience):
			t.Fatal("no packet came")
		}
		f.mu.Lock()
		old := f.live
		f.mu.Unlock()
		old.wait.close()
		for again := false; !again; time.Sleep(time.Millisecond) {
			f.mu.Lock()
			again = f.live != old
			f.mu.Unlock()
		}
	}
	f.Close()
	if err := <-ended; err != os.ErrClosed {
		t.Errorf("Next ended with %v", err)
	}
	want := "capture on eth0: use of closed file: trying again"
	if len(logged) != 3 || logged[0] != want {
		t.Errorf("logged %q, want %q three times", logged, want)
	}
}

// TestFollowWatchesAgain has the watcher end by itself, and none be had for a
// while.
func TestFollowWatchesAgain(t *testing.T) {
	server := nettest.NewHost(t, "server")
	var mu sync.Mutex
	var logged []string
	var watchers []*netstate.Watcher
	calls := 0
	defer func() { watch = netstate.Watch }()
	watch = func(routes bool) (w *netstate.Watcher, s *netstate.State, err error) {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls == 2 {
			return nil, nil, errors.New("no watcher today")
		}
		err = server.Do(func() (err error) {
			w, s, err = netstate.Watch(routes)
			return err
		})
		watchers = append(watchers, w)
		return w, s, err
	}
	var f *Followed
	if err := server.Do(func() (err error) {
		f, err = Follow([]string{"eth0"}, wantUDP(7000), func(e event.Event) {
			mu.Lock()
			defer mu.Unlock()
			logged = append(logged, e.Text())
		})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	watchers[0].Close()
	for n := 1; n < 2; time.Sleep(time.Millisecond) {
		mu.Lock()
		n = len(watchers)
		mu.Unlock()
	}
	server.Run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
	select {
	case l := <-f.Changes():
		for len(l.On) == 0 {
			l = <-f.Changes()
		}
	case <-time.After(nettest.Patience):
		t.Fatal("the change was not noticed")
	}
	mu.Lock()
	defer mu.Unlock()
	if want := "watch the interfaces: it ended: trying again"; len(logged) != 1 || logged[0] != want {
		t.Errorf("logged %q, want once %q", logged, want)
	}
}

func TestRetry(t *testing.T) {
	var r retry
	var pauses []time.Duration
	for range 12 {
		r.first()
		pauses = append(pauses, r.pause())
	}
	want := "[100ms 200ms 400ms 800ms 1.6s 3.2s 6.4s 12.8s 25.6s 30s 30s 30s]"
	if got := fmt.Sprint(pauses); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	r.succeeded()
	if !r.first() || r.pause() != minPause || r.first() {
		t.Error("a success changes nothing")
	}
}
