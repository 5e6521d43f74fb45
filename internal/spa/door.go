package spa

import (
	"net/netip"
	"time"

	"knockd/internal/knock"
)

// Door is what the Verifier knows of an SPA door. It must not change while a
// Verifier uses it.
type Door struct {
	knock.DoorID
	Clients       []Client          // from spa_key_file, by LoadKeys
	Listen        []knock.PortRange // spa_port; of TCP a SYN's own payload counts and, if asked for, a connection's data
	TCP, HTTP     bool              // spa_transport: the data of connections that another program takes
	Proxies       []netip.Prefix    // trusted_proxies: senders whose X-Forwarded-For stands for theirs
	Allow         []netip.Prefix    // the sender and, with AllowInside, the address opened; empty is anybody
	Deny          []netip.Prefix    // neither the sender nor the address opened; it counts before Allow
	AllowInside   []netip.Prefix    // more addresses that may be opened
	Destination   []netip.Prefix    // empty: any address of this host
	Open          []knock.PortRange // what may be asked for; empty is nothing
	AllowPorts    []knock.PortRange // what may be asked for, too, and only commands open
	DenyPorts     []knock.PortRange // what may not, even if Open holds it
	NAT           []knock.NATTarget // where NAT messages may lead; empty refuses them
	NoForward     bool              // refuse NAT messages that lead to other hosts
	NoLocal       bool              // refuse those that lead to other ports of this one
	Timeout       time.Duration     // cmd_timeout: if the client asks for no time; 0 is for ever
	MaxTimeout    time.Duration     // the longest time a client gets that asks for one; 0: asking is no use
	MaxAge        time.Duration     // how far a packet's time may be from ours
	RequireUser   string            // empty: any user name
	RequireSource bool              // the message must name the address
	Expires       time.Time         // zero: never
	IPv6          bool              // IPv6 senders, and IPv6 addresses in messages
}

// ListenOn returns what a door listens on that has these numbers in spa_port:
// UDP, and TCP, since a SYN may carry a packet.
func ListenOn(first, last uint16) []knock.PortRange {
	return []knock.PortRange{{Proto: knock.UDP, First: first, Last: last}, {Proto: knock.TCP, First: first, Last: last}}
}

// LargestAge returns the largest MaxAge of the doors: what Once must remember.
func LargestAge(doors []*Door) time.Duration {
	age := time.Duration(0)
	for _, d := range doors {
		age = max(age, d.MaxAge)
	}
	return age
}

// accepts reports whether the packet may concern the door at all.
func (d *Door) accepts(p Packet, via transport) bool {
	if !anyContains(d.Listen, knock.Step{Proto: p.Proto, Port: p.DstPort}) || !p.Src.Is4() && !d.IPv6 || via == stream && !d.TCP || via == web && !d.HTTP || via == unheard {
		return false
	}
	if len(d.Destination) == 0 && !p.Local || len(d.Destination) > 0 && !inAny(d.Destination, p.Dst) {
		return false
	}
	return !inAny(d.Deny, p.Src) && (len(d.Allow) == 0 || inAny(d.Allow, p.Src))
}

func inAny(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
