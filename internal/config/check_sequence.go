package config

import (
	"fmt"
	"strings"

	"knockd/internal/knock"
)

// checkSequence finds where the sequence comes from. Of a fixed one and a
// file, knockd 0.8 starts with the one that was named last.
func (p *parser) checkSequence(d *rawDoor) {
	fixed, hasFixed := d.given.find("sequence")
	file, hasFile := d.given.find("one_time_sequences")
	switch {
	case !hasFixed && !hasFile:
		p.fault(d.fault("sequence", missingSequence(d.Name)))
	case hasFixed && hasFile && p.before(fixed, file) > 0:
		p.fault(d.fault("sequence", fmt.Errorf("follows one_time_sequences: must be one of the two")))
	case hasFixed && hasFile:
		d.Sequence = nil
		p.warn(d.fault("sequence", fmt.Errorf("is not used: one_time_sequences follows")))
	}
	if d.Timeout == 0 && (hasFile || len(d.Sequence) > 1) {
		p.fault(d.fault("seq_timeout", fmt.Errorf("0: must be at least 1 second, else there is no time for a second step")))
	}
}

// missingSequence returns the fault of a door without steps, or of a section that
// was not meant as one.
func missingSequence(name string) error {
	if name = trim(name); strings.EqualFold(name, optionsName) || strings.EqualFold(name, "option") {
		return fmt.Errorf("is missing: this is a door; the section that holds for all of them is written [options], in lower case")
	}
	return fmt.Errorf("is missing: a door must have a sequence, one_time_sequences or spa_key_file")
}

// wildSteps counts the steps that take any port.
func wildSteps(steps []knock.Step) (n int) {
	for _, s := range steps {
		if s.Port == 0 {
			n++
		}
	}
	return n
}

// checkWild: a step "*", the ports it may take and what is opened for it
// belong together.
func (p *parser) checkWild(d *rawDoor) {
	wild := wildSteps(d.Sequence)
	named := len(d.OpenNamed) > 0
	switch {
	case wild > 1:
		p.fault(d.fault("sequence", fmt.Errorf("%d steps are *: must be at most one", wild)))
	case wild == 1 && len(d.OpenPorts) == 0 && !d.has("open_ports"):
		p.fault(d.fault("sequence", fmt.Errorf("a step is *: open_ports must say which ports it takes")))
	case d.OneTimeFile == "" && wild == 0 && len(d.Sequence) > 0 && len(d.OpenPorts) > 0:
		p.fault(d.fault("open_ports", fmt.Errorf("has no effect without a step * in the sequence")))
	case named && len(d.Open) > 0:
		p.fault(d.fault("open", fmt.Errorf("/* opens the port that the knock names, and no others with it: must be a door of its own")))
	case named && len(d.OpenPorts) == 0 && !d.has("open_ports"):
		p.fault(d.fault("open", fmt.Errorf("/* opens the port that the knock names: must come with a step * and open_ports")))
	}
}

// checkStrict fills in the flags of a strict door, and looks for steps that a
// port scan takes by itself. No message tells a port: sequences are secret.
func (p *parser) checkStrict(d *rawDoor) {
	if d.Strict && !d.has("tcpflags") {
		d.Flags = knock.FlagMatch{}.Add(knock.SYN, true).Add(knock.ACK, false)
	}
	if d.Strict && d.Flags.TakesEstablished() {
		p.fault(d.fault("tcpflags", fmt.Errorf("packets of established connections have these flags and would spoil each attempt: a strict door must exclude them, as syn,!ack does")))
	}
	if err := d.checkSteps(d.Sequence); err != nil {
		p.fault(d.fault("sequence", err))
		return
	}
	for i := range max(len(d.Sequence)-1, 0) {
		a, b := d.Sequence[i], d.Sequence[i+1]
		switch {
		case a.Proto == b.Proto && d.ScanTakes(a, b, nil, false):
			p.advise(d.fault("sequence", fmt.Errorf("steps %d and %d differ by 1: a port scan takes both; choose ports far apart", i+1, i+2)))
		case knock.ScannedTogether(a, b):
			p.advise(d.fault("sequence", fmt.Errorf("steps %d and %d are neighbours among the 1,000 ports that nmap scans first: choose others", i+1, i+2)))
		}
	}
}

// checkSteps says what is wrong with the steps of a strict door.
func (d *Door) checkSteps(steps []knock.Step) error {
	if !d.Strict || len(steps) == 0 {
		return nil
	}
	if len(steps) == 1 {
		return fmt.Errorf("one step: a strict door must have at least two, since any port scan takes the first")
	}
	ignored := map[knock.Protocol][]PortRange{}
	for _, r := range knock.JoinPorts(d.StrictIgnore) {
		ignored[r.Proto] = append(ignored[r.Proto], r)
	}
	for i := range len(steps) - 1 {
		a, b := steps[i], steps[i+1]
		if n := strays(ignored[b.Proto]); n < leastStray {
			return fmt.Errorf("strict_ignore leaves %d %v ports: must leave at least %d, since a port scan in random order might touch none of them between two steps", n, b.Proto, leastStray)
		}
		if !d.ScanTakes(a, b, ignored[b.Proto], true) {
			continue
		}
		if a.Proto == b.Proto && !d.ScanTakes(a, b, nil, true) {
			return fmt.Errorf("between steps %d and %d are only ports of strict_ignore: a port scan takes both; a strict door's must be further apart", i+1, i+2)
		}
		if a.Proto != b.Proto {
			return fmt.Errorf("steps %d and %d are ends of the range of ports: a scan of both protocols takes both; choose others", i+1, i+2)
		}
		return fmt.Errorf("steps %d and %d are equal or differ by 1: a port scan takes both; a strict door's must be further apart", i+1, i+2)
	}
	return nil
}

// leastStray is how many ports a strict door must not ignore. Then a scan in
// random order opens one of two steps in less than one of 10,000 scans.
const leastStray = 10_000

// strays counts the ports that are not ignored.
func strays(ignored []PortRange) int {
	n := 65535
	for _, r := range ignored {
		n -= r.Len()
	}
	return n
}
