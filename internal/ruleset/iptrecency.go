package ruleset

import (
	"cmp"
	"fmt"
	"time"
)

// To ask list after list whether a source has an attempt is what costs most.
// Where there are many doors, one table is asked before: it knows who has
// knocked of late at whatever door, and so who cannot be in the middle of a
// sequence. It forgets nobody before the time of his attempts is over: so it
// differs from a list of -m recent, whose oldest of 100 goes when somebody
// floods one door, and nothing that is decided depends on it. When it is full
// no new source gets in, as with the table of what is sent again.
const (
	// fewDoors is up to how many doors there is no such table.
	fewDoors = 16
	// recencyTime is the longest seq_timeout that it is for: a slow flood would
	// keep it full for longer ones.
	recencyTime = 30 * time.Second
	recencySize = 524288
)

// byRecency divides the doors into those for which the table speaks and those
// that have to be asked each time.
func (t *ipt) byRecency() (asked, rest []*door) {
	for _, d := range t.here {
		if d.Timeout <= recencyTime {
			asked = append(asked, d)
		} else {
			rest = append(rest, d)
		}
	}
	if len(asked) <= cmp.Or(t.opt.fewDoors, fewDoors) {
		return nil, t.here
	}
	return asked, rest
}

// recency matches the sources that have knocked within the longest of the
// doors' times. A source is new to the table once; then it is known until it
// has rested for that time. The rate is the slowest that there is: whoever
// never rests is taken for new once a day.
func (t *ipt) recency(doors []*door) string {
	// The name says the time: a table that is there already keeps its own.
	name := fmt.Sprintf("RECENT%d", longest(doors))
	if t.f == ipv6 {
		name += "V6"
	}
	return fmt.Sprintf("-m hashlimit --hashlimit-above 1/day --hashlimit-burst 1 --hashlimit-mode srcip"+
		" --hashlimit-htable-expire %d --hashlimit-htable-gcinterval 500 --hashlimit-htable-size 65536 --hashlimit-htable-max %d --hashlimit-name %s",
		(longest(doors)+1)*1000, recencySize, name)
}

// longest returns the longest seq_timeout of some doors, in seconds.
func longest(doors []*door) (seconds int) {
	for _, d := range doors {
		seconds = max(seconds, wholeSeconds(d))
	}
	return seconds
}

// cost says what many doors cost and whom it concerns, a sentence each. The
// figures are those of BenchmarkRuleset.
func (t *ipt) cost() (out []string) {
	asked, rest := t.byRecency()
	strict := 0
	for _, d := range t.here {
		if d.Strict && d.last() > 1 {
			strict++
		}
	}
	n, when, first := len(t.here), "", "13,000 knocks a second (iptables-legacy: 7,000)"
	switch {
	case n <= fewDoors:
		return nil
	case len(rest) > fewDoors:
		when = fmt.Sprintf("%d of them, by a seq_timeout of more than %v, are asked one by one at each knock", len(rest), recencyTime)
		if len(asked) == 0 {
			when = fmt.Sprintf("too few have a seq_timeout of at most %v, so they are asked one by one at each knock", recencyTime)
		}
	default:
		when = fmt.Sprintf("they are asked one by one when an address knocks again within %d seconds", longest(asked))
		first = "105,000 first knocks a second (iptables-legacy: 133,000) and 13,000 others (7,000)"
	}
	out = append(out, fmt.Sprintf("%d doors: %s. With 100 such doors a processor takes %s; "+
		"knockctl export nftables takes 195,000 first knocks, whatever the number of doors, and 54,000 others.", n, when, first))
	if len(asked) > 0 {
		out = append(out, fmt.Sprintf("One table of %d addresses says for all doors who has knocked of late: while a flood from ever new addresses keeps it full, nobody new gets in at any of them.", recencySize))
	}
	if strict > fewDoors {
		out = append(out, fmt.Sprintf("Each packet to another port that begins something is compared with the lists of all %d strict doors.", strict))
	}
	return out
}

// IptablesNotes returns Notes, and what many doors cost.
func IptablesNotes(doors []*Door, opt Options) []string {
	return append(Notes(doors, opt), newIpt(barePlan(doors, opt)).cost()...)
}
