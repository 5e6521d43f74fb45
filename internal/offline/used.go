package offline

import (
	"time"

	"knockd/internal/engine"
	"knockd/internal/replaycache"
	"knockd/internal/spa"
)

// used is a spa.Once for the time of the file: it forgets a message when that is
// too old to be taken in any case.
type used struct {
	keep    time.Duration
	tokens  map[spa.Token]bool
	entered []entered // the oldest first
}

type entered struct {
	token spa.Token
	at    time.Time
}

func newUsed(doors []*engine.Door) *used {
	// A message may be as much too early as too late, and ages count in seconds.
	return &used{keep: 2*spa.LargestAge(engine.SPADoors(doors)) + time.Second, tokens: map[spa.Token]bool{}}
}

// Enter implements spa.Once.
func (u *used) Enter(token spa.Token, _, now time.Time) (safe func() error, err error) {
	for len(u.entered) > 0 && now.Sub(u.entered[0].at) > u.keep {
		delete(u.tokens, u.entered[0].token)
		u.entered = u.entered[1:]
	}
	if u.tokens[token] {
		return nil, replaycache.ErrUsed
	}
	u.tokens[token] = true
	u.entered = append(u.entered, entered{token, now})
	return func() error { return nil }, nil
}
