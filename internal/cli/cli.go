// Package cli is how the project's commands speak: errors, hints, warnings and
// versions in one way for all of them.
//
// The rule, for whoever adds a line:
//
//   - Standard output has what was asked for, and nothing else: a program may
//     read it. All else goes to standard error.
//   - A line on standard error begins with the command's name. One line says
//     what is wrong; it names the file, the option or the address, and what was
//     being done. If there is something to do about it, a second line says so,
//     behind "hint:": a command to type, an option, a file to correct.
//   - "warning:" is before what does not keep the command from going on,
//     "advice:" before what could be better. Where all is well, nothing is said
//     but what was asked for.
//   - The faults of a configuration are lines of their own, FILE:LINE: first,
//     as editors read them, and all of them at once.
//   - The text is lower case, without a full stop, and never holds a secret.
//   - The exit status is 0 when what was asked for was done. A mistake of the
//     command line and what went wrong otherwise have statuses of their own,
//     which the manuals list. They differ, since people's scripts know those of
//     knockd 0.8 and its knock: usage is 2 for knockd and knockctl, 1 for knock.
//
// A room that knows what to do about an error gives it a method Hint; it need
// not know this one.
package cli

import (
	"errors"
	"fmt"
	"io"
)

// Version is what -V prints; the Makefile sets it at link time.
var Version = "1.0.0"

// PrintVersion prints a command's version.
func PrintVersion(w io.Writer, command string) { fmt.Fprintf(w, "%s %s\n", command, Version) }

// Speaker says what a command has to say.
type Speaker struct {
	Command string
	W       io.Writer // standard error
}

// Say prints a line, and what to do about it, if there is something.
func (s Speaker) Say(text, hint string) {
	fmt.Fprintf(s.W, "%s: %s\n", s.Command, text)
	if hint != "" {
		fmt.Fprintf(s.W, "%s: hint: %s\n", s.Command, hint)
	}
}

// Warn is Say for what is not in the way.
func (s Speaker) Warn(text, hint string) { s.Say("warning: "+text, hint) }

// hinted is an error and what to do about it.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }
func (e *hinted) Hint() string  { return e.hint }

// WithHint adds to an error what to do about it.
func WithHint(err error, hint string) error { return &hinted{err, hint} }

// HintOf returns what to do about an error, as the outermost that has a hint
// says; "" if none has.
func HintOf(err error) string {
	var h interface {
		error
		Hint() string
	}
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// usageError is a mistake of the command line.
type usageError struct{ hinted }

// Usage makes a mistake of the command line out of an error. The hint may be
// empty.
func Usage(err error, hint string) error { return &usageError{hinted{err, hint}} }

// Usagef is Usage for a text of one's own.
func Usagef(hint, format string, args ...any) error { return Usage(fmt.Errorf(format, args...), hint) }

// IsUsage reports whether an error is a mistake of the command line.
func IsUsage(err error) bool { return errors.As(err, new(*usageError)) }
