package daemon

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// local4 is the address that knocks go to.
var local4 = netip.MustParseAddr("10.9.9.9")

// TestCrowded: attempts that had to make room are told of, the last of them when
// nothing else happens.
func TestCrowded(t *testing.T) {
	inWorld(t, "[options]\nMaxAttempts = 1\n[a]\nsequence = 1,2\nseq_timeout = 3600\n", func(w *world) {
		w.said()
		for i := range 5 {
			w.knock(fmt.Sprintf("192.0.2.%d", i+1), 1)
		}
		if got := strings.Count(w.said(), "MaxAttempts (1) reached: attempts given up: 1, at last the oldest at a\n"); got != 1 {
			t.Errorf("told %d times", got)
		}
		time.Sleep(10 * time.Second)
		w.says("MaxAttempts (1) reached: attempts given up: 3, at last the oldest at a\n")
		time.Sleep(time.Hour / 2)
		w.says("")
	})
}
