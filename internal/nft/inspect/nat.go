package inspect

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nft"
)

// ExamineNAT looks at the rulesets of the host and returns a sentence, with
// what to add, for each that drops what the doors lead elsewhere. The options
// are those of the mode beside NAT. Own are the addresses of this host.
func ExamineNAT(o nft.Options, doors []nft.Door, own []netip.Addr) (warnings []string, err error) {
	return examine(o, doors, func(x *inspector, s *door) {
		for _, t := range s.NAT {
			if t.Net.IsSingleIP() && slices.Contains(own, t.Net.Addr()) {
				x.local(s, t)
			} else {
				x.forward(s, t)
			}
		}
	})
}

// forward examines the way to another host and back.
func (x *inspector) forward(s *door, t knock.NATTarget) {
	first := packet{proto: t.Ports.Proto, port: t.Ports.First, v6: t.Net.Addr().Is6(), mark: x.opt.Mark.Value, opened: s}
	where := func(c *nftables.Chain, what string) string {
		return fmt.Sprintf("door %s: chain %s of table %s drops %s %v %v", s.Name, c.Name, nft.TableOf(c.Table), what, t.Net, t.Ports)
	}
	if c := x.passes(first, unix.NF_INET_FORWARD); c != nil {
		x.warn("%s%s", where(c, "what NAT leads to"), nft.NAT.Advice(x.opt, nft.TableOf(c.Table), c.Name, t.Ports))
	}
	answer := packet{proto: first.proto, v6: first.v6, established: true}
	if c := x.passes(answer, unix.NF_INET_FORWARD); c != nil {
		x.warn("%s; %s", where(c, "the answers from"), acceptEstablished(c))
	}
}

// local examines the way to this host's own port. In mode set, and behind a
// guard, the port is opened for the address like others.
func (x *inspector) local(s *door, t knock.NATTarget) {
	p := packet{proto: t.Ports.Proto, port: t.Ports.First, v6: t.Net.Addr().Is6(), mark: x.opt.Mark.Value, opened: s}
	if c := x.passes(p, unix.NF_INET_LOCAL_IN); c != nil {
		advice := nft.NAT.Advice(x.opt, nft.TableOf(c.Table), c.Name, t.Ports)
		x.warn("door %s: chain %s of table %s drops what NAT leads to %v %v%s", s.Name, c.Name, nft.TableOf(c.Table), t.Net, t.Ports, advice)
	}
}

func acceptEstablished(c *nftables.Chain) string {
	t := nft.TableOf(c.Table)
	if tool := nft.Iptables(t); tool != "" {
		return fmt.Sprintf("add: %s -I %s -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", tool, c.Name)
	}
	return fmt.Sprintf("add: nft 'insert rule %s %s ct state established,related accept'", t, c.Name)
}
