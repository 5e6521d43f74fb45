package knock

import (
	"cmp"
	"slices"
)

// Scanned returns the TCP ports that a port scan tries first, in order: nmap's
// 1,000.
func Scanned() []PortRange {
	ports := make([]PortRange, len(scanned))
	for i, r := range scanned {
		ports[i] = PortRange{TCP, r[0], r[1]}
	}
	return ports
}

// nextScanned returns the port that comes after one in that scan; 0 if the scan
// has no such port, or ends with it.
func nextScanned(port uint16) uint16 {
	i, _ := slices.BinarySearchFunc(scanned[:], port, func(r [2]uint16, port uint16) int { return cmp.Compare(r[1], port) })
	switch {
	case i == len(scanned) || port < scanned[i][0]:
		return 0
	case port < scanned[i][1]:
		return port + 1
	case i+1 < len(scanned):
		return scanned[i+1][0]
	}
	return 0
}

// ScannedTogether reports whether a scan of Scanned, up or down, goes from one step
// to the other without a third port between them. Of a step that takes any port
// nothing is known.
func ScannedTogether(a, b Step) bool {
	if a.Proto != TCP || b.Proto != TCP || a.Port == b.Port || a.Port == 0 || b.Port == 0 {
		return false
	}
	return nextScanned(a.Port) == b.Port || nextScanned(b.Port) == a.Port
}

// ScanOrder reports whether the ports of steps of one protocol only rise, and
// whether they only fall: then a scan of all ports in that order takes them. Of a
// step that takes any port nothing is known.
func ScanOrder(steps []Step) (rises, falls bool) {
	rises, falls = true, true
	for i := 1; i < len(steps); i++ {
		a, b := steps[i-1], steps[i]
		if a.Proto != b.Proto || a.Port == 0 || b.Port == 0 {
			return false, false
		}
		rises, falls = rises && a.Port < b.Port, falls && a.Port > b.Port
	}
	return rises, falls
}

// ScanTakes reports whether a scan of all ports, up or down, can take two steps of
// the door one after the other: no port lies between them but ignored ones, which
// are in order and touch each other nowhere. With repeats it counts a repeated
// port too, which a scanner's repeats take. Of different protocols only the ends
// of two scans meet.
func (d *Door) ScanTakes(a, b Step, ignored []PortRange, repeats bool) bool {
	for _, x := range d.portsOf(a) {
		for _, y := range d.portsOf(b) {
			same := x == y && x.First == x.Last
			switch {
			case x.Proto != y.Proto:
				if scanEnd(x) && scanEnd(y) {
					return true
				}
			case (repeats || !same) && adjacent(x, y, ignored):
				return true
			}
		}
	}
	return false
}

// portsOf returns a step as a scanner meets it: a port, or any of some.
func (d *Door) portsOf(s Step) []PortRange {
	if s.Port != 0 {
		return []PortRange{s.Ports()}
	}
	ports := slices.Clone(d.OpenPorts)
	for i := range ports {
		ports[i].Proto = s.Proto
	}
	return ports
}

// scanEnd reports whether a scan can begin or end in the range.
func scanEnd(r PortRange) bool { return r.First == 1 || r.Last == 65535 }

// adjacent reports whether all ports between two ranges, if any, are ignored.
func adjacent(x, y PortRange, ignored []PortRange) bool {
	if x.First > y.First {
		x, y = y, x
	}
	if int(x.Last)+1 >= int(y.First) {
		return true
	}
	gap := PortRange{First: x.Last + 1, Last: y.First - 1}
	i, _ := slices.BinarySearchFunc(ignored, gap.First, func(r PortRange, port uint16) int { return cmp.Compare(r.Last, port) })
	return i < len(ignored) && ignored[i].First <= gap.First && gap.Last <= ignored[i].Last
}

// TakesEstablished reports whether segments of an established connection, or its
// reset, satisfy the flags.
func (m FlagMatch) TakesEstablished() bool {
	for f := Flags(0); f <= FIN|SYN|RST|PSH|ACK|URG; f++ {
		established := f&SYN == 0 && f&(ACK|RST) != 0
		if established && f&m.Set == m.Set && f&m.Clear == 0 {
			return true
		}
	}
	return false
}
