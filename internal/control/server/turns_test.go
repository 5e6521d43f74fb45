package server

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/control"
)

// TestTurns: readers are answered one at a time, and get a quarter of the time
// however many they are; one who takes his time for a reply holds up nobody, nor
// does one who waits for others hold up root.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var working, most, answers atomic.Int32
		work := Method{Rank: control.Reader, Do: func(_ context.Context, c *Call) error {
			if c.Peer.UID != 0 {
				most.Store(max(most.Load(), working.Add(1)))
				time.Sleep(10 * time.Millisecond)
				working.Add(-1)
			}
			return c.Reply(struct{}{})
		}}
		s := New(Options{Methods: map[string]Method{"knockd.control.Work": work}, RankOf: func(Peer) control.Rank { return control.Reader }})
		call, _ := json.Marshal(map[string]string{"method": "knockd.control.Work"})
		ask := func(uid uint32, slow time.Duration) {
			_ = s.Answer(call, Peer{UID: uid}, func([]byte) error {
				time.Sleep(slow)
				answers.Add(1)
				return nil
			}, nil)
		}
		go ask(1000, time.Hour)
		for range 28 {
			go func() {
				for s.ctx.Err() == nil {
					ask(1001, 0)
				}
			}()
		}
		time.Sleep(time.Second)
		if n := answers.Load(); n < 24 || n > 26 || most.Load() != 1 {
			t.Errorf("%d answers in a second, %d at once", n, most.Load())
		}
		begin := time.Now()
		if ask(0, 0); time.Since(begin) != 0 {
			t.Errorf("root waited for %v", time.Since(begin))
		}
		s.end()
		synctest.Wait()
		time.Sleep(2 * time.Hour)
	})
}
