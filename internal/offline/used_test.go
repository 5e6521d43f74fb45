package offline

import (
	"errors"
	"testing"
	"time"

	"knockd/internal/engine"
	"knockd/internal/replaycache"
	"knockd/internal/spa"
)

// TestUsed: a message is known for as long as it could be taken, and not kept any
// longer.
func TestUsed(t *testing.T) {
	u := newUsed([]*engine.Door{})
	u.keep = 241 * time.Second // of doors that take messages of two minutes
	start := time.Unix(1e9, 0)
	for i := range 1000 {
		token, now := spa.Token{byte(i), byte(i >> 8)}, start.Add(time.Duration(i)*time.Second)
		if _, err := u.Enter(token, now, now); err != nil {
			t.Fatal(err)
		}
		if _, err := u.Enter(spa.Token{}, start, now); i <= 241 && !errors.Is(err, replaycache.ErrUsed) {
			t.Fatalf("after %d s: %v", i, err)
		}
	}
	if len(u.tokens) > 243 || len(u.entered) != len(u.tokens) {
		t.Errorf("%d tokens and %d entries are kept", len(u.tokens), len(u.entered))
	}
}
