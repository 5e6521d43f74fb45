package config

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Fault is one rule that a file breaks.
type Fault struct {
	Place   Place
	Section string // "" outside any section
	Key     string // "" if the fault is the section's
	Err     error  // the rule
}

// Error returns "FILE:LINE: [section] key: the rule".
func (f *Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.Place.String() + ": ")
	if f.Section != "" {
		b.WriteString("[" + printable(f.Section) + "] ")
	}
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Err.Error())
	return b.String()
}

// Unwrap returns the rule.
func (f *Fault) Unwrap() error { return f.Err }

// FaultError is all that is wrong with a configuration, one fault a line.
type FaultError struct {
	Trace Trace // what -D prints: the lines read before the first fault
	error       // *Fault values, joined
}

// Unwrap returns the joined faults.
func (e *FaultError) Unwrap() error { return e.error }

// Trace is what knockd -D prints while it reads its configuration, a line
// each.
type Trace []string

const traceInterface = "config: interface: "

// WithoutInterface leaves out what knockd 0.8 does not print when its command
// line names the interface.
func (t Trace) WithoutInterface() Trace {
	var out Trace
	for _, line := range t {
		if !strings.HasPrefix(line, traceInterface) {
			out = append(out, line)
		}
	}
	return out
}

// printable returns the text as it is, or quoted if it would disturb the line
// it is printed in.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
