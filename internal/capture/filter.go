package capture

import (
	"encoding/binary"
	"fmt"
	"sort"

	"golang.org/x/net/bpf"

	"knockd/internal/knock"
	"knockd/internal/packet"
)

// maxInstructions is the size above which a filter is made coarser. The
// kernel takes 4,096, but charges the socket for the old and the new filter
// together when one replaces the other (net.core.optmem_max).
const maxInstructions = 1000

// minInstructions is enough for the coarsest filter.
const minInstructions = 64

const (
	whole   = 1 << 18     // longer than any packet: as the filter's result, all of it
	headers = 60 + 60 + 8 // octets kept of a packet without IPv6 extension headers, beside its payload

	frag4, proto4 = 6, 9  // offsets in the IPv4 header (RFC 791, 3.1)
	src4          = 12    // the same
	proto6, end6  = 6, 40 // in the IPv6 header (RFC 8200, 3)
	src6          = 8     // the same
	dstPort       = 2     // in TCP's and UDP's
	flags         = 13    // in TCP's (RFC 9293, 3.1)
	udpLen, data  = 4, 8  // in UDP's (RFC 768)

	icmp6   = 58
	outward = 4 // PACKET_OUTGOING of linux/if_packet.h
)

// compile returns a filter program for octets that begin with the network
// header. Whatever is wanted passes; what else passes is little, but grows
// when not everything can be said with limit instructions. The work for a
// packet grows with the logarithm of the number of port ranges.
func compile(w *FilterSpec, limit int) ([]bpf.Instruction, error) {
	if w.From.IsValid() {
		return assembleFrom(w), nil
	}
	tcp, udp := w.ranges(knock.TCP), w.ranges(knock.UDP)
	if prog := fit(w, tcp, udp, limit); prog != nil {
		return prog, nil
	}
	if prog := fit(w, portsOnly(tcp), portsOnly(udp), limit); prog != nil {
		return prog, nil
	}
	return nil, fmt.Errorf("compile a filter: %d instructions are not enough", limit)
}

// fit returns the finest program that keeps to the limit, or nil.
func fit(w *FilterSpec, tcp, udp []interval, limit int) []bpf.Instruction {
	all := len(tcp) + len(udp)
	at := func(n int) []bpf.Instruction { // with about n ranges
		share := func(r []interval) []interval { return coarsen(r, max(1, n*len(r)/max(1, all))) }
		return assemble(w, share(tcp), share(udp))
	}
	// A range takes an instruction at least, and usually two.
	n := sort.Search(min(all, limit), func(n int) bool { return len(at(n+1)) > limit })
	if prog := at(n); len(prog) <= limit {
		return prog
	}
	return nil
}

// filter assembles a program.
type filter struct {
	*program
	reject, accept label
	leaves         []leaf
}

type leaf struct {
	class class
	label label
}

func assemble(w *FilterSpec, tcp, udp []interval) []bpf.Instruction {
	f := &filter{program: newProgram()}
	f.reject = f.add(bpf.RetConstant{Val: 0})
	f.accept = f.add(bpf.RetConstant{Val: whole})
	t, u := f.ports(tcp), f.ports(udp)
	v6 := f.reject
	if !w.OnlyIPv4 {
		v6 = f.ipv6(t, u)
	}
	return f.program4and6(w, f.ipv4(t, u), v6)
}

// assembleFrom assembles a program that lets pass the packets of one source.
func assembleFrom(w *FilterSpec) []bpf.Instruction {
	f := &filter{program: newProgram()}
	f.reject = f.add(bpf.RetConstant{Val: 0})
	f.accept = f.add(bpf.RetConstant{Val: headers})
	v4, v6 := f.reject, f.reject
	if w.From.Is4() {
		v4 = f.octets(src4, w.From.AsSlice())
	} else {
		v6 = f.octets(src6, w.From.AsSlice())
	}
	return f.program4and6(w, v4, v6)
}

// octets accepts packets that have these octets, four by four, at an offset.
func (f *filter) octets(offset uint32, want []byte) label {
	l := f.accept
	for i := len(want) - 4; i >= 0; i -= 4 {
		l = f.branch(bpf.JumpEqual, binary.BigEndian.Uint32(want[i:]), l, f.reject)
		l = f.then(bpf.LoadAbsolute{Off: offset + uint32(i), Size: 4}, l)
	}
	return l
}

// program4and6 returns the program that goes on at v4 or v6, by the version of IP.
func (f *filter) program4and6(w *FilterSpec, v4, v6 label) []bpf.Instruction {
	start := f.tags(f.version(v4, v6))
	if !w.Outgoing {
		start = f.then(bpf.LoadExtension{Num: bpf.ExtType}, f.branch(bpf.JumpEqual, outward, f.reject, start))
	}
	if w.interfaces != nil {
		start = f.interfaces(w.interfaces, start)
	}
	f.enter(start)
	return f.instructions()
}

// interfaces refuses packets of others.
func (f *filter) interfaces(indexes []int, yes label) label {
	no := f.reject
	for _, i := range indexes {
		no = f.branch(bpf.JumpEqual, uint32(i), yes, no)
	}
	return f.then(bpf.LoadExtension{Num: bpf.ExtInterfaceIndex}, no)
}

// version tells IPv4 from IPv6 and both from anything else.
func (f *filter) version(v4, v6 label) label {
	l := f.branch(bpf.JumpEqual, 0x60, v6, f.reject)
	l = f.branch(bpf.JumpEqual, 0x40, v4, l)
	l = f.then(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0}, l)
	return f.then(bpf.LoadAbsolute{Off: 0, Size: 1}, l)
}

// tags lets pass what seems to begin with the rest of a VLAN tag, as
// packet.Decoder knows it: an EtherType at the third octet. To an IPv4 header
// that is the total length, so that most packets take one comparison.
func (f *filter) tags(version label) label {
	l := version
	for _, t := range []uint32{packet.EtherTypeQinQ2, packet.EtherTypeQinQ, packet.EtherTypeVLAN} {
		l = f.branch(bpf.JumpEqual, t, f.accept, l)
	}
	l = f.branch(bpf.JumpEqual, packet.EtherTypeIPv6, f.tagged(0x60, version), l)
	l = f.branch(bpf.JumpEqual, packet.EtherTypeIPv4, f.tagged(0x40, version), l)
	l = f.branch(bpf.JumpGreaterOrEqual, packet.EtherTypeIPv4, l, version)
	return f.then(bpf.LoadAbsolute{Off: 2, Size: 2}, l)
}

func (f *filter) tagged(nibble uint32, version label) label {
	l := f.branch(bpf.JumpEqual, nibble, f.accept, version)
	l = f.then(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0}, l)
	return f.then(bpf.LoadAbsolute{Off: 4, Size: 1}, l)
}

// ipv4 leaves the offset of the TCP or UDP header in X.
func (f *filter) ipv4(tcp, udp label) label {
	l := f.branch(bpf.JumpEqual, uint32(knock.UDP), udp, f.reject)
	l = f.branch(bpf.JumpEqual, uint32(knock.TCP), tcp, l)
	l = f.then(bpf.LoadAbsolute{Off: proto4, Size: 1}, l)
	l = f.then(bpf.LoadMemShift{Off: 0}, l)
	l = f.branch(bpf.JumpBitsSet, 0x1fff, f.reject, l)
	return f.then(bpf.LoadAbsolute{Off: frag4, Size: 2}, l)
}

// ipv6 does the same. Behind extension headers there may be anything but what
// the first one says: neighbours' reports (MLD) come with one, and would wake
// the daemon for nothing.
func (f *filter) ipv6(tcp, udp label) label {
	extension := f.branch(bpf.JumpEqual, icmp6, f.reject, f.accept)
	extension = f.then(bpf.LoadAbsolute{Off: end6, Size: 1}, extension)
	l := f.reject
	for _, p := range packet.Extensions() {
		l = f.branch(bpf.JumpEqual, uint32(p), extension, l)
	}
	l = f.branch(bpf.JumpEqual, icmp6, f.reject, l)
	l = f.branch(bpf.JumpEqual, uint32(knock.UDP), udp, l)
	l = f.branch(bpf.JumpEqual, uint32(knock.TCP), tcp, l)
	l = f.then(bpf.LoadAbsolute{Off: proto6, Size: 1}, l)
	return f.then(bpf.LoadConstant{Dst: bpf.RegX, Val: end6}, l)
}

// ports looks for the destination port.
func (f *filter) ports(ranges []interval) label {
	if len(ranges) == 0 {
		return f.reject
	}
	tree := f.tree(ranges)
	return f.then(bpf.LoadIndirect{Off: dstPort, Size: 2}, tree)
}

// tree is a binary decision tree over the ranges.
func (f *filter) tree(ranges []interval) label {
	if len(ranges) == 1 {
		r := ranges[0]
		yes := f.leaf(r.class)
		if r.first == r.last {
			return f.branch(bpf.JumpEqual, uint32(r.first), yes, f.reject)
		}
		if r.last < 65535 {
			yes = f.branch(bpf.JumpGreaterThan, uint32(r.last), f.reject, yes)
		}
		if r.first > 0 {
			yes = f.branch(bpf.JumpGreaterOrEqual, uint32(r.first), yes, f.reject)
		}
		return yes
	}
	mid := len(ranges) / 2
	upper := f.tree(ranges[mid:])
	lower := f.tree(ranges[:mid])
	return f.branch(bpf.JumpGreaterOrEqual, uint32(ranges[mid].first), upper, lower)
}

// leaf returns the code for a class; all its ports share it.
func (f *filter) leaf(c class) label {
	for _, l := range f.leaves {
		if l.class.equal(c) {
			return l.label
		}
	}
	l := f.add(bpf.RetConstant{Val: uint32(min(headers+c.payload, whole))})
	l = f.payload(c, l)
	l = f.flags(c.flags, l)
	f.leaves = append(f.leaves, leaf{c, l})
	return l
}

// flags goes on at yes if the flags of a TCP header are among those asked for.
func (f *filter) flags(any []knock.FlagMatch, yes label) label {
	if len(any) == 0 || any[0] == (knock.FlagMatch{}) {
		return yes
	}
	no := f.reject
	for _, m := range any {
		no = f.branch(bpf.JumpEqual, uint32(m.Set), yes, no)
		no = f.then(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: uint32(m.Set | m.Clear)}, no)
		no = f.then(bpf.LoadIndirect{Off: flags, Size: 1}, no)
	}
	return no
}

// payload goes on at yes if the payload of a UDP datagram is as asked for.
func (f *filter) payload(c class, yes label) label {
	if c.begins != "" {
		l := f.reject
		for _, octet := range []byte(c.begins) {
			l = f.branch(bpf.JumpEqual, uint32(octet), yes, l)
		}
		yes = f.then(bpf.LoadIndirect{Off: data, Size: 1}, l)
	}
	l := yes
	if c.max > 0 {
		l = f.branch(bpf.JumpGreaterThan, uint32(c.max+data), f.reject, l)
	}
	if c.min > 0 {
		l = f.branch(bpf.JumpGreaterOrEqual, uint32(c.min+data), l, f.reject)
	}
	if l != yes {
		l = f.then(bpf.LoadIndirect{Off: udpLen, Size: 2}, l)
	}
	return l
}
