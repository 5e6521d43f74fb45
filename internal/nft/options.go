package nft

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/google/nftables"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// Hook says where the guard stands.
type Hook uint8

// Input sees what is for the host itself. Prerouting sees, before any
// translation of addresses, also what DNAT forwards, such as ports that Docker
// publishes.
const (
	Input Hook = iota
	Prerouting
)

// String returns "input" or "prerouting".
func (h Hook) String() string { return [...]string{"input", "prerouting"}[h] }

// DefaultTable is the table of guard and mark mode if no other is asked for.
var DefaultTable = knock.Table{Family: "inet", Name: "knockd"}

var families = map[string]nftables.TableFamily{
	"inet": nftables.TableFamilyINet, "ip": nftables.TableFamilyIPv4, "ip6": nftables.TableFamilyIPv6,
	"arp": nftables.TableFamilyARP, "bridge": nftables.TableFamilyBridge, "netdev": nftables.TableFamilyNetdev,
}

func familyName(f nftables.TableFamily) string {
	for name, family := range families {
		if family == f {
			return name
		}
	}
	return strconv.Itoa(int(f))
}

// Iptables returns the program whose table of iptables-nft it is, "" if it is
// none: "iptables" or "ip6tables".
func Iptables(t knock.Table) string {
	if !slices.Contains([]string{"filter", "mangle", "raw", "nat", "security"}, t.Name) {
		return ""
	}
	return map[string]string{"ip": "iptables", "ip6": "ip6tables"}[t.Family]
}

func nfTable(t knock.Table) *nftables.Table {
	return &nftables.Table{Family: families[t.Family], Name: t.Name}
}

// DefaultMark is one bit that neither Docker, Kubernetes, Tailscale nor
// the usual policy routing use.
var DefaultMark = knock.Mark{Value: 0x100000, Mask: 0x100000}

// Door is a door that opens ports natively.
type Door struct {
	knock.DoorID
	Ports []knock.PortRange
	// OnePort: an opening is for the one port of Ports that it names, not
	// for all of them.
	OnePort bool
	// Timeout is how long an opening lasts: 0 until it is closed, else at
	// least a second.
	Timeout time.Duration
	// PrefixLen4 and PrefixLen6 are how much of the knocker's address counts:
	// 1-32 and 1-128; 0 means all of it.
	PrefixLen4, PrefixLen6 int
	// Set4 and Set6 are the host's sets, in mode Set only. Without the one
	// the door does not open for addresses of that version.
	Set4, Set6 knock.SetName
	// NAT is where openings of mode NAT may lead; with OnePort. In the other
	// modes ports of this host to which NAT leads can be opened too, but a
	// guard does not close them for that.
	NAT []knock.NATTarget
	// Masquerade: the hosts to which NAT leads are to see connections as
	// coming from this host. In mode NAT.
	Masquerade bool
}

// Element is a door that is open for an address, or is to be.
type Element struct {
	Door   knock.DoorID
	Addr   netip.Addr
	Prefix netip.Prefix // of what is open: Addr with the door's prefix length
	// Proto and Port name the port, for a door with OnePort only.
	Proto knock.Protocol
	Port  uint16
	// To is where the port leads, in mode NAT: of Addr's IP version.
	To netip.AddrPort
	// Timeout is how long: at least a second, 0 for the door's own. Of what is
	// open it is the time left, 0 if it lasts until it is closed.
	Timeout time.Duration
}

// Options are what a Firewall needs to know beside its doors.
type Options struct {
	Mode  Mode        // the zero value means Guard
	Table knock.Table // guard, mark and NAT; the zero value means DefaultTable
	Hook  Hook        // guard
	Mark  knock.Mark  // mark and NAT; the zero value means DefaultMark
	// Rescue are addresses for which a guard closes nothing; see SetRescue.
	Rescue []netip.Prefix
	// Listening reports whether knocks can be captured now; nil: they can. While they
	// cannot, a guard closes only what is closed already. See Firewall.Shut.
	Listening func() bool
	// Notify is called from a goroutine of the Firewall's own, one call at a
	// time, when something has happened to the rules. It may be nil.
	Notify func(event.Event)
	// NetNS is a descriptor of the network namespace to work in; 0 means the
	// current one. Another one needs CAP_SYS_ADMIN.
	NetNS int

	// oneLookup: the kernel does not look into a map for the key alone, as
	// those before Linux 6.8. In mode NAT.
	oneLookup bool
}

// WithDefaults returns the options with what the zero values mean.
func (o Options) WithDefaults() Options {
	if o.Mode == (Mode{}) {
		o.Mode = Guard
	}
	if o.Table == (knock.Table{}) {
		o.Table = DefaultTable
	}
	if o.Mark == (knock.Mark{}) {
		o.Mark = DefaultMark
	}
	return o
}
