package knock

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// blanks may stand around a port, a protocol and a step.
const blanks = " \t\n\v\f\r"

// StepError says what is wrong with a step. Whoever shows it has words of its
// own: a port may be a secret.
type StepError struct {
	Port, Protocol string // as written, without blanks
	BadPort        bool   // the port is none
	Number         bool   // it is a whole number at least
	BadProtocol    bool   // the protocol is neither tcp nor udp
}

func (e *StepError) Error() string {
	switch {
	case e.BadProtocol:
		return fmt.Sprintf("protocol %q: must be tcp or udp", e.Protocol)
	case e.Number:
		return fmt.Sprintf("port %s: must be between 1 and 65535", e.Port)
	}
	return fmt.Sprintf("port %q: must be a number between 1 and 65535", e.Port)
}

// SequenceError says what is wrong with a sequence.
type SequenceError struct {
	Steps int   // how many it has: 0 or more than MaxSteps, if Err is nil
	Step  int   // from 1: the step that Err is about
	Err   error // a *StepError
}

func (e *SequenceError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("step %d: %v", e.Step, e.Err)
	}
	return fmt.Sprintf("%d steps: must be from 1 to %d", e.Steps, MaxSteps)
}

func (e *SequenceError) Unwrap() error { return e.Err }

// ParseSequence reads "7000,8000:udp,9000:tcp", as the configuration, the lines
// of one-time files and the client's profiles have it. With wild a step may be
// "*", which gets port 0. An error is a *SequenceError.
func ParseSequence(text string, wild bool) ([]Step, error) {
	if strings.Trim(text, blanks) == "" {
		return nil, &SequenceError{}
	}
	if n := strings.Count(text, ",") + 1; n > MaxSteps {
		return nil, &SequenceError{Steps: n}
	}
	var steps []Step
	for field := range strings.SplitSeq(text, ",") {
		s, err := ParseStep(field, wild)
		if err != nil {
			return nil, &SequenceError{Step: len(steps) + 1, Err: err}
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// ParseStep reads "7000", "7000:tcp" or "8000:udp"; without a protocol it is a
// step of TCP. With wild the port may be "*". An error is a *StepError.
func ParseStep(text string, wild bool) (Step, error) {
	port, proto, named := strings.Cut(text, ":")
	e := &StepError{Port: strings.Trim(port, blanks), Protocol: strings.Trim(proto, blanks)}
	s := Step{Proto: TCP}
	switch {
	case strings.EqualFold(e.Protocol, "udp"):
		s.Proto = UDP
	case named && !strings.EqualFold(e.Protocol, "tcp"):
		e.BadProtocol = true
	}
	if !wild || e.Port != "*" {
		n, err := strconv.Atoi(e.Port)
		e.Number = err == nil || errors.Is(err, strconv.ErrRange)
		e.BadPort = err != nil || n < 1 || n > math.MaxUint16
		s.Port = uint16(n)
	}
	if e.BadPort || e.BadProtocol {
		return Step{}, e
	}
	return s, nil
}
