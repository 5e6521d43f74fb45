package eventlog

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// written runs a limiter for some days, with so many lines of strangers a
// second, and returns the octets written in each day and the lines left out.
func written(rate, lines, days int) (octets []int, missed int) {
	const text = "192.0.2.123: ssh: Stage 1"
	l := &limiter{rate: rate}
	count := func(s string) int { return len(stamp) + len(s) + 1 }
	begin := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for second := range days * 24 * 60 * 60 {
		now := begin.Add(time.Duration(second) * time.Second)
		if second%(24*60*60) == 0 {
			octets = append(octets, 0)
		}
		today := &octets[len(octets)-1]
		for range lines {
			ok, tell := l.take(now)
			if tell != nil {
				*today += count(tell.Text())
			}
			if ok {
				l.spend(now, text)
				*today += count(text)
			} else {
				missed++
			}
		}
	}
	return octets, missed
}

// TestDay: what strangers cause is bounded in octets a day, also when they go
// on for days; what honest knocks cause is never left out.
func TestDay(t *testing.T) {
	first, later := 2*dayBudget, dayBudget+dayBudget/100
	for _, c := range []struct {
		name              string
		rate, lines, days int
		first, later      int // octets, at most
		missed            bool
	}{
		{"a flood", DefaultRate, 101, 2, first, later, true},
		{"a flood, and a low rate", 10, 20, 3, first, later, true},
		{"a flood, and a rate of 1000", 10 * DefaultRate, 100, 2, 10 * first, 10 * later, true},
		{"two knocks a second all day", DefaultRate, 4, 2, first, later, false},
	} {
		octets, missed := written(c.rate, c.lines, c.days)
		for i, n := range octets {
			if limit := []int{c.first, c.later}[min(i, 1)]; n > limit {
				t.Errorf("%s: %d octets on day %d, want at most %d", c.name, n, i+1, limit)
			}
		}
		if (missed > 0) != c.missed {
			t.Errorf("%s: %d lines left out", c.name, missed)
		}
	}
}

// TestDayUsedUp: when the day's share is used up that is told, once a minute,
// and OPEN SESAME is still written; there is room again with time.
func TestDayUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memory
		l := New(Outputs{Log: &m}, DefaultRate)
		long := strings.Repeat("x", dayBudget/16)
		for range 20 {
			l.stranger(long)
		}
		l.Event(said{"OPEN SESAME", notice})
		time.Sleep(10 * time.Hour)
		l.stranger("later")
		l.Close()
		got := slices.DeleteFunc(m.lines, func(s string) bool { return s == long })
		want := []string{"OPEN SESAME", "4 lines left out (LogRate: the day's share is used up)", "later"}
		if len(m.lines) != 19 || !slices.Equal(got, want) {
			t.Errorf("%d lines, of them %q, want 19 and %q", len(m.lines), got, want)
		}
	})
}

// TestDayTold: during a flood that goes on there is one such line a minute.
func TestDayTold(t *testing.T) {
	l := &limiter{rate: DefaultRate}
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	l.spend(now, strings.Repeat("x", dayBudget))
	told := 0
	for range 60 * 10 {
		now = now.Add(time.Second)
		for range 200 {
			if ok, tell := l.take(now); tell != nil {
				told++
			} else if ok {
				l.spend(now, "192.0.2.123: ssh: Stage 1")
			}
		}
	}
	if told < 8 || told > 10 {
		t.Errorf("told %d times in 10 minutes", told)
	}
}
