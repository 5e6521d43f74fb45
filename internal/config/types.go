package config

import (
	"net/netip"
	"time"

	"knockd/internal/knock"
)

// The domain's words, as the keys of a file give them.
type (
	PortRange    = knock.PortRange    // "tcp/22" or "udp/60001-60010"; or, of no protocol, "22"
	Lengths      = knock.Lengths      // "MIN" or "MIN-MAX"
	FailureLimit = knock.FailureLimit // "20 / 60s, 10m"
	Table        = knock.Table        // "inet NAME"
	SetName      = knock.SetName      // "inet TABLE NAME"
	Mark         = knock.Mark         // "VALUE" or "VALUE/MASK"
	NATTarget    = knock.NATTarget    // "10.0.0.0/24 tcp/22"
)

// LogFormat is how the log file is written.
type LogFormat string

// The formats: knockd 0.8's lines, or a JSON object an event.
const (
	LogClassic LogFormat = "classic"
	LogJSON    LogFormat = "json"
)

// SyslogFormat is how lines to syslog begin.
type SyslogFormat string

// The formats: knockd 0.8's, or RFC 5424 with the event's fields.
const (
	SyslogClassic SyslogFormat = "classic"
	SyslogRFC5424 SyslogFormat = "rfc5424"
)

// LogSink is a further place that events go to.
type LogSink string

// LogJournald is systemd's journal, in its own protocol.
const LogJournald LogSink = "journald"

var logSinks = []LogSink{LogJournald}

// NftMode is how native doors work with the firewall.
type NftMode string

// The modes: the daemon's own table closes and opens, it only marks packets
// for the host's firewall, or it fills the host's own sets.
const (
	NftGuard NftMode = "guard"
	NftMark  NftMode = "mark"
	NftSet   NftMode = "set"
)

var nftModes = []NftMode{NftGuard, NftMark, NftSet}

// GuardHook is where the guard's chain hooks in.
type GuardHook string

// The hooks: input for the host's own ports, prerouting for ports that are
// forwarded too.
const (
	HookInput      GuardHook = "input"
	HookPrerouting GuardHook = "prerouting"
)

// SPA is what an SPA door, which has no sequence, asks of a packet.
type SPA struct {
	KeyFile       string // as written, perhaps relative
	Ports         []PortRange
	AllowInside   []netip.Prefix // beside Allow, for the address in the message
	MaxTimeout    time.Duration  // cap of what a client asks
	HMAC          string         // "sha256", ..., "none"; "" means not given
	AllowPorts    []PortRange    // may be asked for beside Open, and only commands open them
	DenyPorts     []PortRange
	RequireUser   string         // "" means any
	RequireSource bool           // a message must name the address to open
	Expires       time.Time      // the zero Time means never
	Destination   []netip.Prefix // where the packet was sent to; none means anywhere
	MaxAge        time.Duration

	IPv6           bool // senders over IPv6, and IPv6 addresses in messages
	Transports     []Transport
	TrustedProxies []netip.Prefix // whose X-Forwarded-For counts
	NATAllow       []NATTarget    // where NAT messages may lead; none refuses them
	NATOnly        NATOnly        // which of them
	NATMasquerade  bool
}

// Transport is a way for a packet beside UDP and the payload of a TCP SYN.
type Transport string

// The transports: the first data of a TCP connection that another program
// accepts, and the path of an HTTP request.
const (
	TransportTCP  Transport = "tcp"
	TransportHTTP Transport = "http"
)

// NATOnly says which NAT messages a door takes; both kinds if it is empty.
type NATOnly string

// The kinds: those that lead to other hosts, and to other ports of this one.
const (
	NATForward NATOnly = "forward"
	NATLocal   NATOnly = "local"
)

// Defaults of SPA doors, as fwknop's.
const (
	DefaultSPAPort       = 62201
	DefaultSPAMaxAge     = 120 * time.Second
	DefaultSPAMaxTimeout = 300 * time.Second
)
