package nft

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables"

	"knockd/internal/knock"
)

// keyKind is what the elements of a set are made of.
type keyKind uint8

const (
	keyAddr keyKind = iota
	keyAddrPort
	keyAddrProtoPort
)

// target is a set that openings of a door go to: one of our own table, or
// one of the host's.
type target struct {
	table   knock.Table
	name    string
	kind    keyKind
	v6      bool
	bits    int           // of the address that count
	timeout time.Duration // of a host's set: the default of its elements
	untimed bool          // of a host's set: elements cannot have a timeout
	nat     bool          // a map to an address and a port
	size    uint32        // of a set of ours: how many elements it takes; 0: any number
}

// maxEndless bounds the openings without end in a set of ours, and with it the
// kernel's memory: about 150 octets an element. Those that end are bounded by
// who asks for them. The kernel makes room for a size at once, half a megabyte
// here (nft_rhash_init in net/netfilter/nft_set_hash.c), so that thousands of
// doors must do without.
const maxEndless = 16384

func (t *target) keyType() nftables.SetDatatype {
	addr := nftables.TypeIPAddr
	if t.v6 {
		addr = nftables.TypeIP6Addr
	}
	switch t.kind {
	case keyAddrPort:
		return nftables.MustConcatSetType(addr, nftables.TypeInetService)
	case keyAddrProtoPort:
		return nftables.MustConcatSetType(addr, nftables.TypeInetProto, nftables.TypeInetService)
	}
	return addr
}

// nf: set NAME { type ipv4_addr; flags timeout; }
//
// A set of ours has no timeout of its own, so that openings without end can be
// in it; each element brings one (see left).
func (t *target) nf() *nftables.Set {
	return &nftables.Set{
		Table: nfTable(t.table), Name: t.name, KeyType: t.keyType(), Concatenation: t.kind != keyAddr,
		HasTimeout: !t.untimed, Size: t.size,
		IsMap: t.nat, DataType: t.dataType(),
	}
}

// spec is a door as the kernel's side sees it.
type spec struct {
	Door
	id    kernelName
	inner []knock.PortRange // ports that local NAT may lead to
	v4    *target           // nil if the door does not open for IPv4
	v6    *target
}

// newSpecs checks doors and gives them their sets.
func newSpecs(o *Options, doors []Door) ([]*spec, error) {
	seen := map[kernelName]bool{}
	var specs []*spec
	for _, d := range doors {
		s := &spec{Door: d, id: newKernelName(d.DoorID)}
		if s.N == 0 {
			s.N = 1
		}
		if err := s.check(o.Mode); err != nil {
			return nil, fmt.Errorf("door %s: %w", d.Name, err)
		}
		if seen[s.id] {
			return nil, fmt.Errorf("door %s: there are two of this name and number", d.Name)
		}
		seen[s.id] = true
		if s.OnePort && !o.Mode.translates {
			for _, t := range d.NAT {
				s.inner = append(s.inner, t.Ports)
			}
		}
		s.v4, s.v6 = s.target(o, false), s.target(o, true)
		specs = append(specs, s)
	}
	return specs, nil
}

func (s *spec) check(m Mode) error {
	if len(s.Ports) == 0 {
		return fmt.Errorf("no ports to open")
	}
	for _, r := range s.Ports {
		if r.Proto != knock.TCP && r.Proto != knock.UDP || r.First == 0 || r.First > r.Last {
			return fmt.Errorf("ports %v: must be tcp or udp, from 1 to 65535", r)
		}
	}
	if s.Timeout != 0 && s.Timeout < time.Second {
		return fmt.Errorf("timeout %v: must be at least a second", s.Timeout)
	}
	if s.PrefixLen4 < 0 || s.PrefixLen4 > 32 || s.PrefixLen6 < 0 || s.PrefixLen6 > 128 {
		return fmt.Errorf("prefix lengths %d and %d: must be from 1 to 32 and from 1 to 128", s.PrefixLen4, s.PrefixLen6)
	}
	if !m.HasTable() && s.Set4.IsZero() && s.Set6.IsZero() {
		return fmt.Errorf("mode set needs nft_set or nft_set_6")
	}
	return nil
}

// target names the set for one IP version.
func (s *spec) target(o *Options, v6 bool) *target {
	t := &target{table: o.Table, v6: v6, bits: s.PrefixLen4, nat: o.Mode.translates}
	full, foreign := 32, s.Set4
	if v6 {
		t.bits, full, foreign = s.PrefixLen6, 128, s.Set6
	}
	if t.bits == 0 {
		t.bits = full
	}
	if o.Mode.HasTable() {
		if s.Timeout == 0 {
			t.size = maxEndless
		}
		if s.OnePort {
			t.kind = keyAddrProtoPort
		}
		t.name = t.ourName(s.id, t.bits < full)
		return t
	}
	if foreign.IsZero() {
		return nil
	}
	t.table, t.name = foreign.Table, foreign.Name
	return t
}

// ourName returns the name of a set of ours: door4_ssh, door6/64_ssh,
// port4_ssh, nat4_ssh. It says all that the keys mean, so that no element is
// taken for another when the configuration has changed.
func (t *target) ourName(id kernelName, prefix bool) string {
	name, version := "door", "4"
	if t.kind == keyAddrProtoPort {
		name = "port"
	}
	if t.nat {
		name = "nat"
	}
	if t.v6 {
		version = "6"
	}
	if prefix {
		version += fmt.Sprintf("/%d", t.bits)
	}
	return name + version + "_" + string(id)
}

// targets returns the door's one or two sets.
func (s *spec) targets() []*target {
	var all []*target
	for _, t := range []*target{s.v4, s.v6} {
		if t != nil {
			all = append(all, t)
		}
	}
	return all
}

// targetOf returns the set for an address, nil if there is none.
func (s *spec) targetOf(a netip.Addr) *target {
	if a.Is4() {
		return s.v4
	}
	return s.v6
}
