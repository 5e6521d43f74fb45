package client

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"knockd/internal/knock"
)

// ErrEmptySequence is the error of a sequence without a single step.
var ErrEmptySequence = errors.New("the sequence is empty")

// ParseStep reads a step as the command line and the configuration write it:
// "7000", "7000:tcp", "8000:udp". Without a protocol it is a TCP step. A colon
// with nothing after it counts as no protocol, as in knock 0.8.
func ParseStep(text string) (knock.Step, error) {
	number, proto, _ := strings.Cut(text, ":")
	if proto == "" {
		proto = "tcp"
	}
	return newStep(number, proto)
}

func newStep(number, proto string) (knock.Step, error) {
	port, err := parsePort(number)
	if err != nil {
		return knock.Step{}, err
	}
	switch strings.ToLower(proto) {
	case "tcp":
		return knock.Step{Proto: knock.TCP, Port: port}, nil
	case "udp":
		return knock.Step{Proto: knock.UDP, Port: port}, nil
	}
	return knock.Step{}, fmt.Errorf("port %s: protocol %q: must be tcp or udp", number, proto)
}

// parsePort reads a port in decimal digits and nothing else.
func parsePort(text string) (uint16, error) {
	// The daemon, too, takes a plus sign.
	digits := strings.TrimPrefix(text, "+")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("%q is not a port", text)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %s: must be between 1 and 65535", text)
	}
	return uint16(n), nil
}

// ParseSequence reads the steps of a configuration or one-time file: separated
// by commas, with or without blanks around them. Their number is 1 to
// knock.MaxSteps. It takes exactly what the daemon takes: client and server
// count the same lines of a one-time file.
func ParseSequence(text string) ([]knock.Step, error) {
	if strings.TrimSpace(text) == "" {
		return nil, ErrEmptySequence
	}
	parts := strings.Split(text, ",")
	if len(parts) > knock.MaxSteps {
		return nil, fmt.Errorf("%d steps: must be at most %d", len(parts), knock.MaxSteps)
	}
	steps := make([]knock.Step, len(parts))
	for i, part := range parts {
		number, proto, named := strings.Cut(part, ":")
		if !named {
			proto = "tcp"
		}
		step, err := newStep(strings.TrimSpace(number), strings.TrimSpace(proto))
		if err != nil {
			return nil, err
		}
		steps[i] = step
	}
	return steps, nil
}
