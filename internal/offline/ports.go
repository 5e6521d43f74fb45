package offline

import (
	"regexp"
	"slices"
	"strconv"

	"knockd/internal/config"
	"knockd/internal/engine"
	"knockd/internal/explain"
	"knockd/internal/knock"
	"knockd/internal/onetime"
)

// Ports returns what a configuration says of ports, for who explains: which are
// those of sequences, and of lines of one-time files.
func Ports(conf *config.Config) *explain.Ports {
	var doors []*knock.Door
	var files []*config.Door
	for _, d := range conf.Doors {
		doors = append(doors, &d.Door)
		if d.OneTimeFile != "" {
			files = append(files, d)
		}
	}
	var unused, used []explain.Line
	for _, d := range files {
		file := engine.OneTimeFile(d)
		unused = append(unused, linesOf(d, file.Lines)...)
		used = append(used, linesOf(d, file.Used)...)
	}
	ports := explain.NewPorts(doors, unused)
	for _, l := range used {
		ports.Use(l)
	}
	return ports
}

// linesOf returns the lines of a door's file; none if it cannot be read, which
// is a fault of the configuration that others tell.
func linesOf(d *config.Door, read func() ([]onetime.Line, error)) (lines []explain.Line) {
	found, _ := read()
	for _, l := range found {
		lines = append(lines, Line(d.ID(), d.OneTimeFile, l))
	}
	return lines
}

// Line returns a line of a one-time file as who explains knows it.
func Line(door knock.DoorID, file string, l onetime.Line) explain.Line {
	return explain.Line{Door: door, Steps: l.Steps, File: file, Number: l.Number}
}

// Opens returns what the doors of a configuration open, by their IDs: without a
// command, or as far as a usual start command names a port.
func Opens(conf *config.Config) func(knock.DoorID) explain.Opening {
	byID := map[knock.DoorID]explain.Opening{}
	for _, d := range conf.Doors {
		byID[d.ID()] = explain.Opening{Ports: append(slices.Clone(d.Open), portsIn(d.StartCommand)...), For: d.CmdTimeout}
	}
	return func(id knock.DoorID) explain.Opening { return byID[id] }
}

var portInCommand = regexp.MustCompile(`(?:--d(?:estination-)?ports?|dport|port)[ =]+(\d{1,5})(?:[-:](\d{1,5}))?`)

// portsIn returns the TCP port, or the range, that a command names.
func portsIn(command string) []knock.PortRange {
	m := portInCommand.FindStringSubmatch(command)
	if m == nil {
		return nil
	}
	first, _ := strconv.ParseUint(m[1], 10, 16)
	last, err := strconv.ParseUint(m[2], 10, 16)
	if err != nil {
		last = first
	}
	return []knock.PortRange{{Proto: knock.TCP, First: uint16(first), Last: uint16(last)}}
}
