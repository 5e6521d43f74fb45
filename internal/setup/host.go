package setup

import (
	"net/netip"
	"slices"

	"knockd/internal/knock"
	"knockd/internal/netstate"
	"knockd/internal/nft"
	"knockd/internal/nft/inspect"
)

// Host is what there is to know about a host before a door is proposed.
type Host struct {
	Name       string // its own
	Interfaces []netstate.Interface
	Default    int             // index of the default route's interface, 0 if there is none
	Connected  []netip.Addr    // its addresses that have connections to the door's port
	Listening  []knock.Step    // ports on which programs serve others
	Ephemeral  knock.PortRange // from which its own connections get their ports
	Firewall   Firewall        // whose rules filter what is for it
	Reach      [2]Reach        // of the door's port, over IPv4 and IPv6
	Unexamined bool            // nothing is known of Firewall and Reach
}

// Reach is what the host's rules make of a connection to the door's port.
type Reach struct {
	inspect.Reach
	Legacy bool // the chain that drops it is one of iptables-legacy
}

// Firewall is a program or kernel interface that rules belong to.
type Firewall string

// The firewalls that are told apart.
const (
	None           Firewall = ""
	Nftables       Firewall = "nftables"
	Iptables       Firewall = "iptables"        // its rules stand in nf_tables
	IptablesLegacy Firewall = "iptables-legacy" // they do not
	UFW            Firewall = "ufw"
	Firewalld      Firewall = "firewalld"
)

// addressed reports whether others can reach the host over IPv4, and over IPv6.
func (h *Host) addressed() (has [2]bool) {
	for _, i := range h.Interfaces {
		for _, a := range i.Addrs {
			if i.Up && a.IsGlobalUnicast() {
				has[version(a)] = true
			}
		}
	}
	return has
}

// version returns 0 for an IPv4 address, 1 for an IPv6 one.
func version(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// access returns what holds for the IP versions that the host has addresses of:
// the best and the worst.
func (h *Host) access() (best, worst inspect.Access) {
	worst = inspect.Everybody
	has := h.addressed()
	for i, r := range h.Reach {
		if has[i] || !has[0] && !has[1] {
			best, worst = max(best, r.Access), min(worst, r.Access)
		}
	}
	return best, worst
}

// address returns the one by which the host is probably known: of the default
// route's interface, IPv4 and public ones first.
func (h *Host) address() netip.Addr {
	var all []netip.Addr
	for _, i := range h.Interfaces {
		for _, a := range i.Addrs {
			if a.IsGlobalUnicast() && (i.Index == h.Default || h.Default == 0) {
				all = append(all, a)
			}
		}
	}
	rank := func(a netip.Addr) (n int) {
		if a.IsPrivate() {
			n += 2
		}
		return n + version(a)
	}
	slices.SortStableFunc(all, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	if len(all) == 0 {
		return netip.Addr{}
	}
	return all[0]
}

// used returns the ports that no sequence may have: those that something
// listens on, and those of the host's own connections.
func (h *Host) used() []knock.PortRange {
	used := knock.PortsOf(h.Listening)
	if h.Ephemeral.First > 0 {
		used = append(used, h.Ephemeral)
	}
	return used
}

// Listens reports whether something serves others on a TCP port.
func (h *Host) Listens(port uint16) bool {
	return slices.Contains(h.Listening, knock.Step{Proto: knock.TCP, Port: port})
}

// firewallOf tells by the chains in nf_tables and those of iptables-legacy whose
// rules filter what is for the host: of several, the firewall that drops the
// door's port.
func (h *Host) firewallOf(chains, legacy []inspect.Chain) Firewall {
	newer, older := owner(chains, Iptables), owner(legacy, IptablesLegacy)
	drops := func(r Reach) bool { return r.Legacy && r.Access == inspect.Nobody }
	switch {
	case newer == UFW || newer == Firewalld || older == None:
		return newer
	case newer == None || older == UFW || older == Firewalld || slices.ContainsFunc(h.Reach[:], drops):
		return older
	}
	return newer
}

// owner tells whose chains these are, if they filter what is for the host;
// chains of iptables have a flavour.
func owner(chains []inspect.Chain, flavour Firewall) Firewall {
	found := None
	for _, c := range chains {
		switch {
		case c.Table.Name == "firewalld" || c.Name == "INPUT_ZONES":
			return Firewalld
		case c.Name == "ufw-before-input":
			return UFW
		case !c.Input:
		case nft.Iptables(c.Table) != "":
			found = flavour
		case found == None:
			found = Nftables
		}
	}
	return found
}

// dropper tells whose chain drops the port: not that of ufw or firewalld if it
// stands in a table of somebody else's.
func (h *Host) dropper(r Reach) Firewall {
	tool := nft.Iptables(r.Chain.Table)
	switch {
	case r.Access != inspect.Nobody, tool != "" && h.Firewall != Nftables && h.Firewall != None, r.Chain.Table.Name == "firewalld":
		return h.Firewall
	case r.Legacy:
		return IptablesLegacy
	case tool != "":
		return Iptables
	}
	return Nftables
}
