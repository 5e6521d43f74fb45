package knock

import (
	"fmt"
	"net/netip"
)

// Table names a table of nf_tables.
type Table struct {
	Family string // "inet", "ip" or "ip6"; of others' tables also "arp" and so on
	Name   string
}

// String returns the table as nft writes it: "inet knockd".
func (t Table) String() string { return t.Family + " " + t.Name }

// SetName names a set of nf_tables. The zero value is none.
type SetName struct {
	Table Table
	Name  string
}

// String returns the set as nft writes it: "inet filter ssh_allowed".
func (s SetName) String() string { return s.Table.String() + " " + s.Name }

// IsZero reports whether no set is named.
func (s SetName) IsZero() bool { return s == SetName{} }

// Mark is a packet mark: Value within Mask. No bit of Value is outside of Mask.
type Mark struct{ Value, Mask uint32 }

// String returns the mark as iptables takes it: "0x100000/0x100000".
func (m Mark) String() string { return fmt.Sprintf("%#x/%#x", m.Value, m.Mask) }

// NATTarget is ports of some hosts that NAT may lead to.
type NATTarget struct {
	Net   netip.Prefix
	Ports PortRange
}

// String returns the target as the configuration writes it: "10.0.0.0/24 tcp/22".
func (t NATTarget) String() string { return t.Net.String() + " " + t.Ports.String() }
