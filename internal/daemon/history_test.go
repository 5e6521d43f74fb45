package daemon

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"knockd/internal/history"
)

// visits is what the daemon remembers, the newest first.
func (w *world) visits() string {
	text := ""
	for page := range w.d.history.Visits(history.Query{}) {
		for _, v := range page {
			text += fmt.Sprintf("%v %v", v.Door, v.For)
			if !v.Closed.IsZero() {
				text += fmt.Sprintf(" %v", v.Closed.Sub(v.Opened))
			}
			text += " " + v.Why + "\n"
		}
	}
	return text
}

// TestHistory: who was let in is remembered, in a file too if a reload names one,
// until the end and beyond it.
func TestHistory(t *testing.T) {
	door := doorText("ssh", "1", "60")
	inWorld(t, door, func(w *world) {
		if err := os.Chmod(w.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w.knock("192.0.2.1", 1)
		time.Sleep(time.Second)
		w.knock("192.0.2.2", 1)
		want := "ssh 192.0.2.2 \nssh 192.0.2.1 \n"
		if got := w.visits(); got != want {
			t.Errorf("%swant\n%s", got, want)
		}
		w.reload("[options]\nHistoryFile = DIR/history\n" + door)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		w.knock("192.0.2.3", 1)
		w.said()
		w.ends()
		want = "ssh 192.0.2.3 0s shutting down\nssh 192.0.2.2 2s shutting down\nssh 192.0.2.1 3s shutting down\n"
		if got := w.visits(); got != want {
			t.Errorf("%swant\n%s", got, want)
		}
		w.packet = newFakeSource()
		w.start()
		if got := w.visits(); got != want {
			t.Errorf("after a restart:\n%swant\n%s", got, want)
		}
		w.reload("[options]\nHistoryFile = DIR/history\nHistoryDays = 1\n" + door)
		time.Sleep(25 * time.Hour)
		if got := w.visits(); got != "" {
			t.Errorf("after a day:\n%s", got)
		}
		w.reload("[options]\nHistoryFile = DIR/k.conf\n" + door)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if said := w.said(); !strings.Contains(said, "history: DIR/k.conf: it holds something else, and stays as it is") {
			t.Errorf("%s", said)
		}
		w.knock("192.0.2.4", 1)
		w.said()
	})
}
