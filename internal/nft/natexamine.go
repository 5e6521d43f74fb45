package nft

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ExamineNAT looks at the rulesets of the host and returns a sentence, with
// what to add, for each that drops what the doors lead elsewhere. The options
// are those of the mode beside NAT. Own are the addresses of this host.
func ExamineNAT(o Options, doors []Door, own []netip.Addr) (warnings []string, err error) {
	k, err := dial(o.NetNS)
	if err != nil {
		return nil, err
	}
	defer k.close()
	return examineNAT(k, o, doors, own)
}

func examineNAT(k kernel, o Options, doors []Door, own []netip.Addr) ([]string, error) {
	o.fillIn()
	x := &examiner{k: k, opt: o, rules: map[chainKey][]*nftables.Rule{}, sets: map[setKey]*contents{}}
	if err := x.read(); err != nil {
		return nil, fmt.Errorf("examine the host's rules: %w", reason(err))
	}
	for i := range doors {
		s := &spec{Door: doors[i], id: newDoorID(doors[i].Name, doors[i].Nth)}
		s.v4, s.v6 = s.target(&o, false), s.target(&o, true)
		for _, t := range s.NAT {
			if t.Net.IsSingleIP() && slices.Contains(own, t.Net.Addr()) {
				x.local(s, t)
			} else {
				x.forward(s, t)
			}
		}
	}
	return x.said, nil
}

// forward examines the way to another host and back.
func (x *examiner) forward(s *spec, t Target) {
	first := packet{proto: t.Ports.Proto, port: t.Ports.First, v6: t.Net.Addr().Is6(), mark: x.opt.Mark.Value, opened: s}
	where := func(c *nftables.Chain, what string) string {
		return fmt.Sprintf("door %s: chain %s of table %s drops %s %v %v", s.Name, c.Name, tableOf(c.Table), what, t.Net, t.Ports)
	}
	if c := x.passes(first, unix.NF_INET_FORWARD); c != nil {
		x.say("%s; %s", where(c, "what NAT leads to"), x.acceptMark(c))
	}
	answer := packet{proto: first.proto, v6: first.v6, established: true}
	if c := x.passes(answer, unix.NF_INET_FORWARD); c != nil {
		x.say("%s; %s", where(c, "the answers from"), acceptEstablished(c))
	}
}

// local examines the way to this host's own port. In mode set, and behind a
// guard, the port is opened for the address like others.
func (x *examiner) local(s *spec, t Target) {
	p := packet{proto: t.Ports.Proto, port: t.Ports.First, v6: t.Net.Addr().Is6(), mark: x.opt.Mark.Value, opened: s}
	if c := x.passes(p, unix.NF_INET_LOCAL_IN); c != nil {
		x.say("door %s: chain %s of table %s drops what NAT leads to %v %v; %s", s.Name, c.Name, tableOf(c.Table), t.Net, t.Ports, x.acceptMark(c))
	}
}

// acceptMark says which rule lets through what bears our mark.
func (x *examiner) acceptMark(c *nftables.Chain) string {
	t := tableOf(c.Table)
	if isIptables(t) {
		return fmt.Sprintf("add: %s -I %s -m mark --mark %v -j ACCEPT", tool(t), c.Name, x.opt.Mark)
	}
	return fmt.Sprintf("add: nft 'insert rule %s %s meta mark & %#x == %#x accept'", t, c.Name, x.opt.Mark.Mask, x.opt.Mark.Value)
}

func acceptEstablished(c *nftables.Chain) string {
	t := tableOf(c.Table)
	if isIptables(t) {
		return fmt.Sprintf("add: %s -I %s -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", tool(t), c.Name)
	}
	return fmt.Sprintf("add: nft 'insert rule %s %s ct state established,related accept'", t, c.Name)
}

// tool is the program whose table it is.
func tool(t Table) string {
	if t.Family == nftables.TableFamilyIPv6 {
		return "ip6tables"
	}
	return "iptables"
}
