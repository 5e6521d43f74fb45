package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"knockd/internal/knock"
)

// list reads values separated by commas, at least one.
func list[T any](parse func(string) (T, error)) func(string) ([]T, error) {
	return func(text string) ([]T, error) {
		var out []T
		for field := range strings.SplitSeq(text, ",") {
			v, err := parse(trim(field))
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	}
}

// parsePortRange reads "22" or "60001-60010".
func parsePortRange(text string) (PortRange, error) {
	if strings.Contains(text, "/") {
		return PortRange{}, portFault(text, false)
	}
	r, err := knock.ParsePortRange(text)
	return r, rangeFault(err)
}

// parsePorts reads "tcp/22" or "udp/60001-60010".
func parsePorts(text string) (PortRange, error) {
	r, err := knock.ParsePortRange(text)
	if fault := (*knock.StepError)(nil); !strings.Contains(text, "/") || errors.As(err, &fault) && fault.BadProtocol {
		return PortRange{}, noPorts(text)
	}
	return r, rangeFault(err)
}

// rangeFault says what is wrong with a range of ports.
func rangeFault(err error) error {
	if fault := (*knock.StepError)(nil); errors.As(err, &fault) {
		return portFault(fault.Port, fault.Number)
	}
	return err
}

func noPorts(text string) error { return fmt.Errorf("%q: must be tcp/PORT or udp/PORT", text) }

// readOpen reads what a door opens: distinct ports, or "tcp/*".
func readOpen(d *rawDoor, text string) error {
	var ports []PortRange
	var named []knock.Protocol
	for field := range strings.SplitSeq(text, ",") {
		if proto, ok := strings.CutSuffix(trim(field), "/*"); ok {
			p, known := knock.ParseProtocol(trim(proto))
			if !known {
				return noPorts(trim(proto))
			}
			if slices.Contains(named, p) {
				return fmt.Errorf("%v/* and %v/* overlap: each port must be named once", p, p)
			}
			named = append(named, p)
			continue
		}
		r, err := parsePorts(trim(field))
		if err != nil {
			return err
		}
		ports = append(ports, r)
	}
	if a, b, overlap := overlapping(ports); overlap {
		return fmt.Errorf("%v and %v overlap: each port must be named once", a, b)
	}
	d.Open, d.OpenNamed = ports, named
	return nil
}

func writeOpen(d *rawDoor) (string, bool) {
	var ports []string
	for _, proto := range d.OpenNamed {
		ports = append(ports, proto.String()+"/*")
	}
	for _, r := range d.Open {
		ports = append(ports, r.String())
	}
	return strings.Join(ports, ", "), len(ports) > 0
}

// overlapping returns two ranges that have a port in common, if there are any.
func overlapping(list []PortRange) (a, b PortRange, found bool) {
	sorted := sortedPorts(list)
	for i := 1; i < len(sorted); i++ {
		if a, b = sorted[i-1], sorted[i]; a.Proto == b.Proto && b.First <= a.Last {
			return a, b, true
		}
	}
	return a, b, false
}

func sortedPorts(list []PortRange) []PortRange {
	return slices.SortedFunc(slices.Values(list), func(a, b PortRange) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.First, b.First))
	})
}

// parsePrefix reads an address or a network.
func parsePrefix(text string) (netip.Prefix, error) {
	addr, err := netip.ParseAddr(text)
	if err == nil && addr.Zone() == "" && !addr.Is4In6() {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil || prefix.Addr().Is4In6():
		return prefix, fmt.Errorf("%q: must be an IPv4 or IPv6 address or network, as 192.0.2.0/24", text)
	case prefix != prefix.Masked():
		return prefix, fmt.Errorf("%s: has bits set behind its length, must be %v", text, prefix.Masked())
	}
	return prefix, nil
}

// parseDuration reads "90", "90s", "10m", "2h" or "1d", at least a second.
func parseDuration(text string) (time.Duration, error) {
	unit, digits := time.Second, text
	for suffix, d := range map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour} {
		if bare, ok := strings.CutSuffix(text, suffix); ok {
			unit, digits = d, bare
		}
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || n > int(math.MaxInt32*time.Second/unit) {
		return 0, fmt.Errorf("%q: must be a time of at least a second, as 90, 90s, 10m, 2h or 1d", text)
	}
	return time.Duration(n) * unit, nil
}

// parseFailureLimit reads "20 / 60s, 10m".
func parseFailureLimit(text string) (FailureLimit, error) {
	var l FailureLimit
	count, times, ok1 := strings.Cut(text, "/")
	within, ignore, ok2 := strings.Cut(times, ",")
	if !ok1 || !ok2 {
		return l, fmt.Errorf("%q: must be FAILURES / TIME, TIME, as 20 / 60s, 10m", text)
	}
	var err error
	if l.Count, err = between(1, 10_000)(trim(count)); err != nil {
		return l, err
	}
	if l.Within, err = parseDuration(trim(within)); err != nil {
		return l, err
	}
	l.For, err = parseDuration(trim(ignore))
	return l, err
}

// parseLengths reads "MIN" or "MIN-MAX".
func parseLengths(text string) (Lengths, error) {
	const longest = math.MaxUint16 // the length field of IP
	low, high, isRange := strings.Cut(text, "-")
	var l Lengths
	var err error
	if l.Min, err = between(0, longest)(trim(low)); err != nil || !isRange {
		return l, err
	}
	l.Max, err = between(1, longest)(trim(high))
	if err == nil && l.Max < l.Min {
		err = fmt.Errorf("%d-%d: the first must not be above the last", l.Min, l.Max)
	}
	return l, err
}

// parseMark reads "0x100000/0x100000", or a value that is its own mask.
func parseMark(text string) (Mark, error) {
	value, mask, hasMask := strings.Cut(text, "/")
	v, err := strconv.ParseUint(trim(value), 0, 32)
	if err != nil {
		return Mark{}, fmt.Errorf("%q: must be VALUE or VALUE/MASK, as 0x100000/0x100000", text)
	}
	m := v
	if hasMask {
		if m, err = strconv.ParseUint(trim(mask), 0, 32); err != nil {
			return Mark{}, fmt.Errorf("%q: must be VALUE or VALUE/MASK, as 0x100000/0x100000", text)
		}
	}
	if v == 0 || v&^m != 0 {
		return Mark{}, fmt.Errorf("%#x/%#x: must have a bit set, and none outside its mask", v, m)
	}
	return Mark{Value: uint32(v), Mask: uint32(m)}, nil
}

// nftName is a name that nft can write again without quotes, shorter than
// NFT_NAME_MAXLEN in linux/netfilter/nf_tables.h.
var nftName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]{0,254}$`)

func checkNftName(kind, name string) error {
	if !nftName.MatchString(name) {
		return fmt.Errorf("%s %q: must begin with a letter and have letters, digits and _ . / - only", kind, name)
	}
	return nil
}

// parseTable reads the daemon's own table, "inet NAME" or "NAME".
func parseTable(text string) (Table, error) {
	words := strings.Fields(text)
	if len(words) == 1 {
		words = []string{"inet", words[0]}
	}
	if len(words) != 2 || words[0] != "inet" {
		return Table{}, fmt.Errorf("%q: must be inet NAME: one table serves IPv4 and IPv6", text)
	}
	return Table{Family: words[0], Name: words[1]}, checkNftName("table", words[1])
}

// parseSet reads "inet filter ssh_allowed". wrong is the family whose sets
// cannot hold the addresses.
func parseSet(wrong string) func(string) (SetName, error) {
	return func(text string) (SetName, error) {
		words := strings.Fields(text)
		if len(words) != 3 {
			return SetName{}, fmt.Errorf("%q: must be FAMILY TABLE SET, as inet filter ssh_allowed", text)
		}
		s := SetName{Table: Table{Family: words[0], Name: words[1]}, Name: words[2]}
		switch {
		case s.Table.Family == wrong:
			return s, fmt.Errorf("%v: a set of family %s cannot hold these addresses", s, wrong)
		case s.Table.Family != "inet" && s.Table.Family != "ip" && s.Table.Family != "ip6":
			return s, fmt.Errorf("family %q: must be inet, ip or ip6", s.Table.Family)
		case s.Table.Name == "filter" && s.Table.Family != "inet":
			return s, fmt.Errorf("table %v belongs to iptables, which saves a rule with a set as one that lets everybody in: must be another", s.Table)
		}
		if err := checkNftName("table", s.Table.Name); err != nil {
			return s, err
		}
		return s, checkNftName("set", s.Name)
	}
}

// parseDate reads a day, or a minute of it, in local time.
func parseDate(text string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q: must be a date, as 2027-01-31 or 2027-01-31 18:00", text)
}

// parseText takes a text that is not empty.
func parseText(text string) (string, error) {
	if text == "" {
		return "", fmt.Errorf("must not be empty")
	}
	return text, nil
}
