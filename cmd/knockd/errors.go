package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"knockd/internal/config"
	"knockd/internal/daemon"
)

// hintedError is an error and what the user can do about it.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

func hinted(err error, hint string) error { return &hintedError{err, hint} }

// warn prints warnings, a line each, and counts them.
func (o *options) warn(w io.Writer, texts ...string) {
	for _, text := range texts {
		fmt.Fprintf(w, "knockd: warning: %s\n", text)
		o.warnings++
	}
}

// complain prints an error: a line that says what is wrong and, if there is
// one, a hint. The faults of a configuration stand by themselves, one a line.
func complain(w io.Writer, err error) {
	var faults *config.FaultError
	if errors.As(err, &faults) {
		fmt.Fprintln(w, strings.TrimRight(faults.Error(), "\n"))
		return
	}
	if fault := (*config.Fault)(nil); errors.As(err, &fault) { // in a file that the configuration names
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintf(w, "knockd: %v\n", err)
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(w, "knockd: hint: %s\n", hint)
	}
}

// hintOf is what the user can do about an error; "" if nobody knows.
func hintOf(err error) string {
	if h := (*hintedError)(nil); errors.As(err, &h) {
		return h.hint
	}
	if l := (*daemon.LackError)(nil); errors.As(err, &l) {
		name := strings.ToLower(l.Capability)
		return fmt.Sprintf("run as root, or give the capability %s (setcap %s=ep, AmbientCapabilities= in the unit, --cap-add %s)",
			l.Capability, name, strings.TrimPrefix(l.Capability, "CAP_"))
	}
	return ""
}
