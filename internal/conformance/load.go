package conformance

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"knockd/internal/knock"
)

// Load reads a directory with knockd.conf and trace.pcap.
func Load(dir string) (*Trace, error) {
	text, err := os.ReadFile(filepath.Join(dir, "knockd.conf"))
	if err != nil {
		return nil, err
	}
	t := &Trace{Config: string(text)}
	if t.Doors, err = readDoors(t.Config); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	t.Packets, err = ReadCapture(filepath.Join(dir, "trace.pcap"))
	return t, err
}

// readDoors understands as much of knockd.conf as traces use, so that what
// the tracker is tested with does not hang on the reader of configurations.
func readDoors(text string) (doors []*knock.Door, err error) {
	var door *knock.Door
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case line == "[options]":
		case strings.HasPrefix(line, "["):
			door = &knock.Door{Name: strings.Trim(line, "[]"), N: 1, Timeout: knock.DefaultTimeout}
			doors = append(doors, door)
		case door == nil:
			return nil, fmt.Errorf("%q before the first door", line)
		default:
			if err := setKey(door, key, value); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
		}
	}
	return doors, nil
}

func setKey(d *knock.Door, key, value string) (err error) {
	switch key {
	case "sequence":
		for step := range strings.SplitSeq(value, ",") {
			port, proto, _ := strings.Cut(step, ":")
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil {
				return err
			}
			s := knock.Step{Proto: knock.TCP, Port: uint16(n)}
			if proto == "udp" {
				s.Proto = knock.UDP
			}
			d.Sequence = append(d.Sequence, s)
		}
	case "seq_timeout":
		n, err := strconv.Atoi(value)
		d.Timeout = time.Duration(n) * time.Second
		return err
	case "tcpflags":
		for name := range strings.SplitSeq(value, ",") {
			f, ok := knock.ParseFlag(strings.TrimPrefix(name, "!"))
			if !ok {
				return fmt.Errorf("no flag %q", name)
			}
			d.Flags = d.Flags.Add(f, name[0] != '!')
		}
	case "target":
		d.Target, err = netip.ParseAddr(value)
		return err
	case "command":
	default:
		return fmt.Errorf("no key of a trace")
	}
	return nil
}
