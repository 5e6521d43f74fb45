package client

import (
	"errors"
	"fmt"
	"strings"

	"knockd/internal/knock"
)

// ErrEmptySequence is the error of a sequence without a single step.
var ErrEmptySequence = errors.New("the sequence is empty")

// ParseStep reads a step of the command line: "7000", "7000:tcp", "8000:udp".
// Without a protocol it is a TCP step. A colon with nothing after it counts as
// no protocol, as in knock 0.8; blanks count as part of the port.
func ParseStep(text string) (knock.Step, error) {
	port := strings.TrimSuffix(text, ":")
	if strings.ContainsAny(port, " \t\n\v\f\r") {
		return knock.Step{}, fmt.Errorf("%q is not a port", port)
	}
	s, err := knock.ParseStep(port, false)
	return s, stepError(err)
}

// parsePort reads a port without a protocol.
func parsePort(text string) (uint16, error) {
	if strings.Contains(text, ":") {
		return 0, fmt.Errorf("%q is not a port", text)
	}
	s, err := ParseStep(text)
	return s.Port, err
}

// stepError says what is wrong with a step.
func stepError(err error) error {
	var e *knock.StepError
	switch {
	case !errors.As(err, &e):
		return nil
	case e.BadPort && e.Number && !strings.HasPrefix(e.Port, "-"):
		return fmt.Errorf("port %s: must be between 1 and 65535", e.Port)
	case e.BadPort:
		return fmt.Errorf("%q is not a port", e.Port)
	}
	return fmt.Errorf("port %s: protocol %q: must be tcp or udp", e.Port, e.Protocol)
}

// ReadSequence reads the steps of a profile or one-time file. It takes exactly
// what the daemon takes: client and server count the same lines.
func ReadSequence(text string) ([]knock.Step, error) {
	steps, err := knock.ParseSequence(text, false)
	var fault *knock.SequenceError
	switch {
	case !errors.As(err, &fault):
		return steps, nil
	case fault.Err != nil:
		return nil, stepError(fault.Err)
	case fault.Steps > 0:
		return nil, fmt.Errorf("%d steps: must be at most %d", fault.Steps, knock.MaxSteps)
	}
	return nil, ErrEmptySequence
}
