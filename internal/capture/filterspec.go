package capture

import (
	"cmp"
	"net/netip"
	"slices"

	"knockd/internal/knock"
)

// FilterSpec describes the packets that somebody could have a use for. A Source
// gives at least these; it may give others.
type FilterSpec struct {
	Matches  []Match // a packet that meets any of them is wanted
	OnlyIPv4 bool    // IPv6 packets are not wanted
	AnyFlags bool    // TCP packets count whatever their flags
	Outgoing bool    // packets that leave are wanted too; heeded where one interface is listened on
	// From, if it is valid, is the source of all packets that are wanted, whatever
	// their protocol: Matches do not count.
	From netip.Addr
	Ring int // octets of packets that may wait to be read, for a socket that is opened; 0: RingSize

	interfaces []int // indexes of the only interfaces, nil for no such limit
}

// Match is met by the packets of a protocol to a range of ports.
type Match struct {
	Proto       knock.Protocol
	First, Last uint16          // destination ports
	Flags       knock.FlagMatch // TCP only
	Payload     int             // how many octets of the payload are needed

	// UDP only: how many octets the payload has, MaxPayload being 0 for no
	// limit, and the octets one of which it begins with, if any are named.
	MinPayload, MaxPayload int
	Begins                 string
}

// AddDoor adds what can be a step at the door and, if it is strict, what can
// fail an attempt: whatever its flags take, to any port that it does not ignore.
// What goes to a target other than this host is seen where it leaves, too, as
// by knockd 0.8.
func (w *FilterSpec) AddDoor(d *knock.Door) {
	w.Outgoing = w.Outgoing || d.Target.IsValid()
	for _, s := range d.Sequence {
		if s.Port != 0 {
			w.add(d, s.Proto, s.Port, s.Port)
			continue
		}
		for _, r := range d.OpenPorts {
			w.add(d, s.Proto, r.First, r.Last)
		}
	}
	if d.Strict && len(d.Sequence) > 1 {
		w.addStrays(d, knock.TCP)
		w.addStrays(d, knock.UDP)
	}
}

func (w *FilterSpec) add(d *knock.Door, proto knock.Protocol, first, last uint16) {
	m := Match{Proto: proto, First: first, Last: last}
	if proto == knock.TCP && !w.AnyFlags {
		m.Flags = d.Flags
	}
	w.Matches = append(w.Matches, m)
}

// addStrays adds all ports of a protocol but those that the door ignores.
func (w *FilterSpec) addStrays(d *knock.Door, proto knock.Protocol) {
	ignored := slices.Clone(d.StrictIgnore)
	slices.SortFunc(ignored, func(a, b knock.PortRange) int { return cmp.Compare(a.First, b.First) })
	next := 0
	for _, p := range ignored {
		if p.Proto != proto || int(p.Last) < next {
			continue
		}
		if next < int(p.First) {
			w.add(d, proto, uint16(next), p.First-1)
		}
		next = int(p.Last) + 1
	}
	if next <= 65535 {
		w.add(d, proto, uint16(next), 65535)
	}
}

// AddAll adds every packet of the protocol.
func (w *FilterSpec) AddAll(proto knock.Protocol) {
	w.Matches = append(w.Matches, Match{Proto: proto, Last: 65535})
}

// MaxPayload returns how many octets of payload are needed of any packet.
func (w *FilterSpec) MaxPayload() int {
	most := 0
	for _, m := range w.Matches {
		most = max(most, m.Payload)
	}
	return most
}

// class is what a packet to certain ports has to meet: Match without ports,
// or several of them joined.
type class struct {
	flags    []knock.FlagMatch // any of them; sorted, without repeats; none for UDP
	payload  int
	min, max int    // of the payload, max 0 for no limit
	begins   string // in ascending order, without repeats
}

// maxFlags is how many alternatives are looked at; if a port has more, its
// packets are wanted whatever their flags. So with what payloads begin with.
const (
	maxFlags  = 4
	maxBegins = 8
)

func classOfMatch(m Match) class {
	c := class{payload: m.Payload}
	if m.Proto == knock.TCP {
		c.flags = []knock.FlagMatch{m.Flags}
	} else {
		c.min, c.max, c.begins = m.MinPayload, m.MaxPayload, joinBegins(m.Begins, m.Begins)
	}
	return c
}

// join returns the class that whoever meets one of two meets.
func (c class) join(d class) class {
	if c.equal(d) {
		return c
	}
	j := class{flags: joinFlags(c.flags, d.flags), payload: max(c.payload, d.payload), min: min(c.min, d.min)}
	if c.max > 0 && d.max > 0 {
		j.max = max(c.max, d.max)
	}
	if c.begins != "" && d.begins != "" {
		j.begins = joinBegins(c.begins, d.begins)
	}
	return j
}

func joinFlags(a, b []knock.FlagMatch) []knock.FlagMatch {
	flags := slices.Concat(a, b)
	slices.SortFunc(flags, func(a, b knock.FlagMatch) int {
		return cmp.Or(cmp.Compare(a.Set, b.Set), cmp.Compare(a.Clear, b.Clear))
	})
	flags = slices.Compact(flags)
	if slices.Contains(flags, knock.FlagMatch{}) || len(flags) > maxFlags {
		flags = []knock.FlagMatch{{}}
	}
	return flags
}

func joinBegins(a, b string) string {
	octets := []byte(a + b)
	slices.Sort(octets)
	if octets = slices.Compact(octets); len(octets) > maxBegins {
		return ""
	}
	return string(octets)
}

func (c class) equal(d class) bool {
	return c.payload == d.payload && c.min == d.min && c.max == d.max && c.begins == d.begins &&
		slices.Equal(c.flags, d.flags)
}

// interval is a range of ports whose packets have to meet a class.
type interval struct {
	first, last uint16
	class       class
}

// ranges returns what is wanted of a protocol: ranges in ascending order that
// do not overlap.
func (w *FilterSpec) ranges(proto knock.Protocol) []interval {
	type edge struct {
		at    int
		match *Match
		start bool
	}
	edges := make([]edge, 0, 2*len(w.Matches))
	for i := range w.Matches {
		m := &w.Matches[i]
		if m.Proto == proto && m.First <= m.Last {
			edges = append(edges, edge{int(m.First), m, true}, edge{int(m.Last) + 1, m, false})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Compare(a.at, b.at) })
	var out []interval
	open := map[Match]int{} // by what the match asks for: ports set to 0
	known := map[Match]class{}
	for i, e := range edges {
		key := *e.match
		key.First, key.Last = 0, 0
		if e.start {
			open[key]++
		} else if open[key]--; open[key] == 0 {
			delete(open, key)
		}
		if i+1 < len(edges) && edges[i+1].at > e.at && len(open) > 0 {
			out = appendRange(out, interval{uint16(e.at), uint16(edges[i+1].at - 1), classOf(open, known)})
		}
	}
	return out
}

// classOf joins the classes of all that is open. Those of single matches are
// kept in known.
func classOf(open map[Match]int, known map[Match]class) class {
	var c class
	first := true
	for m := range open {
		d, ok := known[m]
		if !ok {
			d = classOfMatch(m)
			known[m] = d
		}
		if first {
			c, first = d, false
		} else {
			c = c.join(d)
		}
	}
	return c
}

// appendRange appends a range, or extends the last one if nothing tells them apart.
func appendRange(out []interval, r interval) []interval {
	if n := len(out); n > 0 && int(out[n-1].last)+1 == int(r.first) && out[n-1].class.equal(r.class) {
		out[n-1].last = r.last
		return out
	}
	return append(out, r)
}

// coarsen returns at most limit ranges that hold all the given ones, with as
// few other ports as possible: the smallest gaps are closed.
func coarsen(ranges []interval, limit int) []interval {
	if len(ranges) <= limit {
		return ranges
	}
	gaps := make([]int, len(ranges)-1) // numbers of the ranges before them
	for i := range gaps {
		gaps[i] = i
	}
	width := func(i int) int { return int(ranges[i+1].first) - int(ranges[i].last) }
	slices.SortStableFunc(gaps, func(a, b int) int { return cmp.Compare(width(a), width(b)) })
	closed := make([]bool, len(gaps))
	for _, i := range gaps[:len(ranges)-max(limit, 1)] {
		closed[i] = true
	}
	out := []interval{ranges[0]}
	for i, r := range ranges[1:] {
		if !closed[i] {
			out = append(out, r)
			continue
		}
		last := &out[len(out)-1]
		last.last, last.class = r.last, last.class.join(r.class)
	}
	return out
}

// portsOnly returns the ranges with classes that look at nothing else.
func portsOnly(ranges []interval) []interval {
	var out []interval
	for _, r := range ranges {
		r.class = class{payload: r.class.payload}
		out = appendRange(out, r)
	}
	return out
}
