package netstate

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Interface is a network interface.
type Interface struct {
	Index    int // above 0; another one when it vanished and came back
	Name     string
	AltNames []string // other names, sorted
	Up       bool     // by the administrator's will
	Loopback bool
	Addrs    []netip.Addr          // sorted, without zone
	Labels   map[netip.Addr]string // of IPv4 addresses that have one as "eth0:1"
}

// HasName reports whether the interface bears a name.
func (i *Interface) HasName(name string) bool {
	return i.Name == name || slices.Contains(i.AltNames, name)
}

func (i *Interface) equal(j *Interface) bool {
	return i.Index == j.Index && i.Name == j.Name && i.Up == j.Up && i.Loopback == j.Loopback &&
		slices.Equal(i.AltNames, j.AltNames) && slices.Equal(i.Addrs, j.Addrs) && maps.Equal(i.Labels, j.Labels)
}

// State is what there is at one moment. It is never changed once it is given out.
type State struct {
	Interfaces []Interface // by index
	// Default is the index of the interface of the default route in the main
	// table, IPv4's or, without one, IPv6's: of several the one with the least
	// metric. It is 0 if there is none, and unless it was asked for.
	Default int
}

// ByName returns the interface that bears a name.
func (s *State) ByName(name string) (Interface, bool) {
	for _, i := range s.Interfaces {
		if i.HasName(name) {
			return i, true
		}
	}
	return Interface{}, false
}

// Named returns what a name stands for: an interface with all its addresses,
// or with those that have the name as their label, as "eth0:1". There must be
// such an address then.
func (s *State) Named(name string) (i Interface, addrs []netip.Addr, ok bool) {
	base, _, labelled := strings.Cut(name, ":")
	if i, ok = s.ByName(base); !ok || !labelled {
		return i, i.Addrs, ok
	}
	for _, a := range i.Addrs {
		if i.Labels[a] == name {
			addrs = append(addrs, a)
		}
	}
	return i, addrs, len(addrs) > 0
}

// ByIndex returns the interface that has an index.
func (s *State) ByIndex(index int) (Interface, bool) {
	n, ok := slices.BinarySearchFunc(s.Interfaces, index, func(i Interface, n int) int { return cmp.Compare(i.Index, n) })
	if !ok {
		return Interface{}, false
	}
	return s.Interfaces[n], true
}

// OwnAddrs returns the addresses that this host has now; none if they cannot be
// read.
func OwnAddrs() []netip.Addr {
	s, err := Read()
	if err != nil {
		return nil
	}
	return s.Addrs(nil)
}

// Addrs returns the addresses of the interfaces with the given indexes, or of
// all interfaces if indexes is nil; sorted, each once.
func (s *State) Addrs(indexes []int) []netip.Addr {
	var addrs []netip.Addr
	for _, i := range s.Interfaces {
		if indexes == nil || slices.Contains(indexes, i.Index) {
			addrs = append(addrs, i.Addrs...)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// Equal reports whether two states are the same.
func (s *State) Equal(t *State) bool {
	return s.Default == t.Default && slices.EqualFunc(s.Interfaces, t.Interfaces,
		func(i, j Interface) bool { return i.equal(&j) })
}

// table collects what the kernel tells, message by message.
type table struct {
	links  map[int]Interface
	addrs  map[int]map[netip.Addr]string // to their labels
	routes defaultRoute                  // the best default route of the last dump
}

func newTable() *table {
	return &table{links: map[int]Interface{}, addrs: map[int]map[netip.Addr]string{}}
}

func (t *table) addAddr(index int, a netip.Addr, label string) {
	if t.addrs[index] == nil {
		t.addrs[index] = map[netip.Addr]string{}
	}
	t.addrs[index][a] = label
}

func (t *table) removeAddr(index int, a netip.Addr) { delete(t.addrs[index], a) }

func (t *table) removeLink(index int) {
	delete(t.links, index)
	delete(t.addrs, index)
}

// state returns what the table holds.
func (t *table) state() *State {
	s := &State{Default: t.routes.index}
	for index, i := range t.links {
		i.Addrs = slices.SortedFunc(maps.Keys(t.addrs[index]), netip.Addr.Compare)
		i.Labels = labels(t.addrs[index])
		s.Interfaces = append(s.Interfaces, i)
	}
	slices.SortFunc(s.Interfaces, func(i, j Interface) int { return cmp.Compare(i.Index, j.Index) })
	return s
}

// labels returns the labels by which somebody can ask for addresses. Others
// have the interface's name.
func labels(addrs map[netip.Addr]string) map[netip.Addr]string {
	var out map[netip.Addr]string
	for a, label := range addrs {
		if strings.Contains(label, ":") {
			if out == nil {
				out = map[netip.Addr]string{}
			}
			out[a] = label
		}
	}
	return out
}
