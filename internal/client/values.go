package client

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"knockd/internal/knock"
	"knockd/internal/spa"
)

// The longest times: so that no sum of waits overflows, and what a clock may
// be off.
const (
	longestWait   = 24 * time.Hour
	longestOffset = 100 * 366 * 24 * time.Hour
)

// ParseDelay reads a pause, 0 or more: a number is milliseconds, as in knock
// 0.8.
func ParseDelay(text string) (time.Duration, error) {
	d, ok := duration(text, "ms")
	switch {
	case !ok || d > longestWait:
		return 0, errors.New("must be milliseconds or a time such as 200ms")
	case d < 0:
		return 0, errors.New("cannot be negative")
	}
	return d, nil
}

// ParseTimeout reads a time to wait, more than 0: a number is seconds.
func ParseTimeout(text string) (time.Duration, error) {
	d, ok := duration(text, "s")
	switch {
	case !ok || d > longestWait:
		return 0, errors.New("must be seconds or a time such as 1m30s")
	case d <= 0:
		return 0, errors.New("must be more than 0")
	}
	return d, nil
}

// ParseOffset reads what to add to the clock: a number is seconds.
func ParseOffset(text string) (time.Duration, error) {
	d, ok := duration(text, "s")
	if !ok {
		return 0, errors.New("must be seconds or a time such as 1m30s, - before it for the past")
	}
	return d, nil
}

// ParseOpenTime reads how long a door is to be open, as spa.ParseTimeout does,
// but with units, too.
func ParseOpenTime(text string) (time.Duration, error) {
	if d, ok := duration(text, "s"); ok && d >= 0 && d%time.Second == 0 {
		text = strconv.FormatInt(int64(d/time.Second), 10)
	}
	return spa.ParseTimeout(text)
}

// timeUnits are the units of time, as Go and as fwknop and people write them.
var timeUnits = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "µs": time.Microsecond, "μs": time.Microsecond, "ms": time.Millisecond,
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
}

var (
	bareNumber = regexp.MustCompile(`^[0-9.]+$`)
	timePart   = regexp.MustCompile(`^([0-9.]+)([^0-9.]+)`)
)

// duration reads a time with units, or a number of one unit. All options and
// profiles read their times by it.
func duration(text, unit string) (sum time.Duration, ok bool) {
	text = strings.ToLower(strings.Join(strings.Fields(text), ""))
	rest, minus := strings.CutPrefix(text, "-")
	if !minus {
		rest = strings.TrimPrefix(rest, "+")
	}
	if bareNumber.MatchString(rest) {
		rest += unit
	}
	for ok = rest != ""; rest != ""; {
		part := timePart.FindStringSubmatch(rest)
		if part == nil {
			return 0, false
		}
		number, err := strconv.ParseFloat(part[1], 64)
		one := timeUnits[part[2]]
		if err != nil || one == 0 || number*float64(one) > float64(longestOffset-sum) {
			return 0, false
		}
		sum += time.Duration(number * float64(one))
		rest = rest[len(part[0]):]
	}
	if minus {
		sum = -sum
	}
	return sum, ok
}

// ParseRetry reads a number of repeats, 0 to 100.
func ParseRetry(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 100 {
		return 0, errors.New("must be a number between 0 and 100")
	}
	return n, nil
}

// ParseWait reads the port to wait for: "tcp/22" or "22". Nothing tells
// whether a UDP port is open.
func ParseWait(text string) (uint16, error) {
	proto, port, found := strings.Cut(strings.ToLower(text), "/")
	if !found {
		proto, port = "tcp", proto
	}
	switch proto {
	case "tcp":
		return parsePort(port)
	case "udp":
		return 0, errors.New("a udp port does not tell whether it is open: wait for a tcp port behind the same door")
	}
	return 0, fmt.Errorf("protocol %q: must be tcp", proto)
}

// ParseFamily reads the name of a family.
func ParseFamily(text string) (Family, error) {
	switch strings.ToLower(text) {
	case "any":
		return Any, nil
	case "ipv4":
		return IPv4, nil
	case "ipv6":
		return IPv6, nil
	case "both":
		return Both, nil
	}
	return Any, fmt.Errorf("%q is none of any, ipv4, ipv6, both", text)
}

// ParseFlags reads a comma list of TCP flags, at least one.
func ParseFlags(text string) (knock.Flags, error) {
	var flags knock.Flags
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		f, ok := knock.ParseFlag(name)
		if !ok {
			return 0, fmt.Errorf("%q is none of fin, syn, rst, psh, ack, urg", name)
		}
		flags |= f
	}
	return flags, nil
}

// ReadSequenceFile reads the steps from a file's text: ports separated by
// commas, blanks or line ends; from a # to the end of the line is a comment.
func ReadSequenceFile(text string) ([]knock.Step, error) {
	var ports []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		ports = append(ports, strings.FieldsFunc(line, func(r rune) bool {
			return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n'
		})...)
	}
	return ReadSequence(strings.Join(ports, ","))
}
