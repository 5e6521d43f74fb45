package conformance

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"knockd/internal/knock"
)

// Local are the addresses that every trace takes for the host's own: those of
// the loopback interface.
var Local = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}

// Packet is a hit and its time.
type Packet struct {
	knock.Hit
	Time time.Time
}

// Trace is a configuration and the packets that meet it.
type Trace struct {
	Config  string // the text of a knockd.conf
	Doors   []*knock.Door
	Packets []Packet
}

var prefix = regexp.MustCompile(`^\[\d{4}-\d\d-\d\d \d\d:\d\d\] `)

// Decisions reduces a log to what was decided: stages, openings and timeouts,
// one a line, without times. The order of timeouts among themselves means
// nothing: each run of them is sorted, and those after the last other line
// are dropped, since knockd 0.8 notices a timeout only at the next packet.
func Decisions(log string) string {
	var out, run []string
	for line := range strings.Lines(log) {
		line = prefix.ReplaceAllString(strings.TrimSuffix(line, "\n"), "")
		switch {
		case strings.Contains(line, ": sequence timeout (stage "):
			run = append(run, line)
		case strings.HasSuffix(line, ": OPEN SESAME"), stageLine.MatchString(line):
			slices.Sort(run)
			out = append(append(out, run...), line)
			run = run[:0]
		}
	}
	return strings.Join(out, "\n") + "\n"
}

var stageLine = regexp.MustCompile(`: Stage \d+$`)

// Commands reduces a log to the commands that were run, sorted.
func Commands(log string) string {
	var out []string
	for line := range strings.Lines(log) {
		line = prefix.ReplaceAllString(strings.TrimSuffix(line, "\n"), "")
		if strings.Contains(line, ": running command: ") {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n") + "\n"
}

// Text words an event as knockd's log does.
func Text(e knock.Decision) string {
	switch e.Kind {
	case knock.Opened:
		return fmt.Sprintf("%s: %s: OPEN SESAME\n", e.Src, e.Door.Name)
	case knock.Expired:
		return fmt.Sprintf("%s: %s: sequence timeout (stage %d)\n", e.Src, e.Door.Name, e.Stage)
	}
	return fmt.Sprintf("%s: %s: Stage %d\n", e.Src, e.Door.Name, e.Stage)
}

// Track returns what a tracker with a cap on attempts decides on a trace, as
// a log.
func Track(trace *Trace, limit int) string {
	tracker := newTracker(trace, limit)
	var log strings.Builder
	for _, p := range trace.Packets {
		for _, e := range tracker.Observe(p.Hit, p.Time) {
			log.WriteString(Text(e))
		}
	}
	return log.String()
}

func newTracker(trace *Trace, limit int) *knock.Tracker {
	tracker := knock.NewTracker(limit)
	tracker.SetLocal(Local)
	tracker.SetDoors(trace.Doors)
	return tracker
}
