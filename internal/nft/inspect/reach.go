package inspect

import (
	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nft"
)

// Access is whose connections the host's rules let reach a port.
type Access uint8

// What can be told of it.
const (
	Nobody Access = iota
	Some          // by their address, interface, rate or the like
	Everybody
)

// Reach is what the rules of a host make of the first packet of a connection to
// one of its ports.
type Reach struct {
	Access Access
	Chain  Chain // the base chain that drops it, for Nobody
	// Forwarded: the rules lead the port elsewhere. Those of the hook forward,
	// which decide then, are not examined.
	Forwarded bool
}

// Chain is a chain of the host's rules.
type Chain struct {
	Table knock.Table
	Name  string
	Input bool // the kernel asks it about what is for the host itself
}

// Ports says whom the host's rules let reach the first port of a range, over
// IPv4 and over IPv6, and which chains there are. The tables that the options
// name, knockd's own, are left out.
func Ports(o nft.Options, r knock.PortRange) (v4, v6 Reach, chains []Chain, err error) {
	reader, err := nft.NewReader(o.NetNS)
	if err != nil {
		return v4, v6, nil, err
	}
	defer reader.Close()
	x, err := newInspector(reader, o)
	if err != nil {
		return v4, v6, nil, err
	}
	for _, c := range x.chains {
		chains = append(chains, chainOf(c))
	}
	v4 = x.reach(packet{proto: r.Proto, port: r.First})
	v6 = x.reach(packet{proto: r.Proto, port: r.First, v6: true})
	return v4, v6, chains, nil
}

func chainOf(c *nftables.Chain) Chain {
	return Chain{nft.TableOf(c.Table), c.Name, c.Hooknum != nil && *c.Hooknum == unix.NF_INET_LOCAL_IN && c.Type == nftables.ChainTypeFilter}
}

// reach follows a packet as far as it may come, and then only as far as it comes
// wherever it is from.
func (x *inspector) reach(p packet) Reach {
	dropped, forwarded := x.follows(p)
	if dropped != nil {
		return Reach{Chain: chainOf(dropped)}
	}
	r := Reach{Access: Everybody, Forwarded: forwarded}
	p.surely = true
	if dropped, _ = x.follows(p); dropped != nil {
		r.Access = Some
	}
	return r
}

// follows returns the base chain that drops the packet, nil if none does, and
// whether it is led elsewhere.
func (x *inspector) follows(p packet) (dropped *nftables.Chain, forwarded bool) {
	if dropped = x.passes(p, unix.NF_INET_PRE_ROUTING); dropped != nil {
		return dropped, false
	}
	if x.forwarded(p) != nil {
		return nil, true
	}
	return x.passes(p, unix.NF_INET_LOCAL_IN), false
}
