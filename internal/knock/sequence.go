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
	s, e := Step{Proto: TCP}, &StepError{Port: strings.Trim(port, blanks)}
	if named {
		s.Proto = e.readProtocol(proto)
	}
	if !wild || e.Port != "*" {
		s.Port = e.readPort(port)
	}
	if e.BadPort || e.BadProtocol {
		return Step{}, e
	}
	return s, nil
}

func (e *StepError) readProtocol(text string) Protocol {
	e.Protocol = strings.Trim(text, blanks)
	p, ok := ParseProtocol(e.Protocol)
	e.BadProtocol = !ok
	return p
}

func (e *StepError) readPort(text string) uint16 {
	e.Port = strings.Trim(text, blanks)
	n, err := strconv.Atoi(e.Port)
	e.Number = err == nil || errors.Is(err, strconv.ErrRange)
	e.BadPort = err != nil || n < 1 || n > math.MaxUint16
	return uint16(n)
}

// ParsePortRange reads "tcp/22" or "udp/60001-60010", and without a protocol
// "22" or "60001-60010". What is wrong with a protocol or a port is a
// *StepError.
func ParsePortRange(text string) (PortRange, error) {
	var r PortRange
	var e StepError
	proto, ports, named := strings.Cut(text, "/")
	if !named {
		ports = text
	} else if r.Proto = e.readProtocol(proto); e.BadProtocol {
		return PortRange{}, &e
	}
	first, last, several := strings.Cut(ports, "-")
	if !several {
		last = first
	}
	if r.First = e.readPort(first); e.BadPort {
		return PortRange{}, &e
	}
	if r.Last = e.readPort(last); e.BadPort {
		return PortRange{}, &e
	}
	if r.First > r.Last {
		return PortRange{}, fmt.Errorf("ports %d-%d: the first must not be above the last", r.First, r.Last)
	}
	return r, nil
}
