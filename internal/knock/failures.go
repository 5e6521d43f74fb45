package knock

import (
	"fmt"
	"net/netip"
	"time"
)

// Bounds of what failures can lead to. Whoever can forge addresses decides who
// is ignored; so it must not become too many. All of it takes about 3 MB.
const (
	maxFailures   = 16384 // remembered; when there are more, the first are forgotten
	maxIgnored    = 1024  // at once
	maxNewIgnored = 64    // within newIgnoredTime
)

const newIgnoredTime = time.Minute

// FailureLimit says when a source is ignored: after Count failed attempts
// Within some time, For some time. Attempts that expired have not failed.
// Count 0 means never.
type FailureLimit struct {
	Count       int // 1-10,000
	Within, For time.Duration
}

// String returns the limit as the configuration writes it: "20 / 60s, 600s".
func (l FailureLimit) String() string {
	return fmt.Sprintf("%d / %.0fs, %.0fs", l.Count, l.Within.Seconds(), l.For.Seconds())
}

// failures is who has failed lately, and who is ignored for it.
type failures struct {
	limit   FailureLimit
	never   networks
	spared  func(netip.Addr) bool
	recent  fifo[failure]
	tallies map[netip.Addr]*tally
	ignored terms[netip.Addr]
	begun   fifo[int64] // when the latest ones began to be ignored
}

type failure struct {
	src netip.Addr
	at  int64
}

// tally counts the failures of a source since it was last ignored.
type tally struct {
	n    int
	from uint64 // the number of the first failure that counts
}

func newFailures(l FailureLimit, never []netip.Prefix, spared func(netip.Addr) bool) *failures {
	return &failures{
		limit: l, never: newNetworks(never), spared: spared,
		tallies: map[netip.Addr]*tally{}, ignored: newTerms[netip.Addr](maxIgnored),
	}
}

// ignores reports whether packets of a source do not exist now.
func (f *failures) ignores(src netip.Addr, now int64) bool {
	return f != nil && f.ignored.has(src, now)
}

// add counts a failure. It reports whether the source is ignored from now on.
func (f *failures) add(src netip.Addr, now int64) (ignored bool) {
	if f == nil || f.never.has(src) {
		return false
	}
	for f.recent.len() > 0 && (now-f.recent.first().at >= int64(f.limit.Within) || f.recent.len() >= maxFailures) {
		f.forget()
	}
	t := f.tallies[src]
	if t == nil {
		t = &tally{}
		f.tallies[src] = t
	}
	t.n++
	f.recent.push(failure{src, now})
	if t.n < f.limit.Count {
		return false
	}
	t.n, t.from = 0, f.recent.popped+uint64(f.recent.len())
	return f.ignore(src, now)
}

// forget lets go of the oldest failure.
func (f *failures) forget() {
	number := f.recent.popped
	src := f.recent.pop().src
	t := f.tallies[src]
	if number >= t.from {
		t.n--
	}
	if t.n == 0 && number+1 >= t.from {
		delete(f.tallies, src)
	}
}

// ignore begins to ignore a source, within the bounds.
func (f *failures) ignore(src netip.Addr, now int64) bool {
	f.ignored.purge(now)
	for f.begun.len() > 0 && now-*f.begun.first() >= int64(newIgnoredTime) {
		f.begun.pop()
	}
	if f.begun.len() >= maxNewIgnored || len(f.ignored.until) >= maxIgnored || f.spared != nil && f.spared(src) {
		return false
	}
	f.begun.push(now)
	f.ignored.set(src, now+int64(f.limit.For), now)
	return true
}
