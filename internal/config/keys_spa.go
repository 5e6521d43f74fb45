package config

import (
	"net/netip"
	"strings"
	"time"
)

// spaKeys are those of a door with keys in place of a sequence.
var spaKeys = []key[*rawDoor]{
	parsed(func(d *rawDoor) *string { return &d.keys().KeyFile }, parsePath, "spa_key_file"),
	parsed(func(d *rawDoor) *[]PortRange { return &d.keys().Ports }, list(parsePortRange), "spa_port").followed(listComment),
	parsed(func(d *rawDoor) *[]netip.Prefix { return &d.keys().AllowInside }, list(parsePrefix), "allow_inside"),
	parsed(func(d *rawDoor) *time.Duration { return &d.keys().MaxTimeout }, parseSeconds, "max_timeout").followed(unitAndComment),
	parsed(func(d *rawDoor) *string { return &d.keys().HMAC },
		oneOf("sha256", "sha384", "sha512", "sha3_256", "sha3_512", "sha1", "md5", "none"), "spa_hmac"),
	parsed(func(d *rawDoor) *[]PortRange { return &d.keys().AllowPorts }, list(parsePorts), "allow_ports").followed(listComment),
	parsed(func(d *rawDoor) *[]PortRange { return &d.keys().DenyPorts }, list(parsePorts), "deny_ports").followed(listComment),
	parsed(func(d *rawDoor) *string { return &d.keys().RequireUser }, parseText, "require_user"),
	parsed(func(d *rawDoor) *bool { return &d.keys().RequireSource }, parseYes, "require_source"),
	parsed(func(d *rawDoor) *time.Time { return &d.keys().Expires }, parseDate, "expires").followed(comment),
	parsed(func(d *rawDoor) *[]netip.Prefix { return &d.keys().Destination }, list(parsePrefix), "destination"),
	parsed(func(d *rawDoor) *time.Duration { return &d.keys().MaxAge }, parseSeconds, "spa_max_age").followed(unitAndComment),
	parsed(func(d *rawDoor) *bool { return &d.keys().IPv6 }, parseYes, "spa_ipv6"),
	parsed(func(d *rawDoor) *[]Transport { return &d.keys().Transports }, list(parseTransport), "spa_transport"),
	parsed(func(d *rawDoor) *[]netip.Prefix { return &d.keys().TrustedProxies }, list(parsePrefix), "trusted_proxies"),
	parsed(func(d *rawDoor) *[]NATTarget { return &d.keys().NATAllow }, list(parseNATTarget), "nat_allow"),
	parsed(func(d *rawDoor) *NATOnly { return &d.keys().NATOnly }, parseNATOnly, "nat_only"),
	parsed(func(d *rawDoor) *bool { return &d.keys().NATMasquerade }, parseYes, "nat_masquerade"),
}

// keys returns what the door asks of a packet, at first the defaults.
func (d *rawDoor) keys() *SPA {
	if d.spa == nil {
		d.spa = &SPA{
			Ports:      []PortRange{{First: DefaultSPAPort, Last: DefaultSPAPort}},
			MaxTimeout: DefaultSPAMaxTimeout,
			MaxAge:     DefaultSPAMaxAge,
		}
	}
	return d.spa
}

func parseTransport(text string) (Transport, error) {
	word, err := oneOf(string(TransportTCP), string(TransportHTTP))(text)
	return Transport(word), err
}

func parseNATOnly(text string) (NATOnly, error) {
	word, err := oneOf(string(NATForward), string(NATLocal))(text)
	return NATOnly(word), err
}

// parseNATTarget reads "10.0.0.0/24 tcp/22".
func parseNATTarget(text string) (t NATTarget, err error) {
	words := strings.Fields(text)
	if len(words) != 2 {
		return t, rulef("%q: must be NETWORK PROTOCOL/PORT, as 10.0.0.0/24 tcp/22", text)
	}
	if t.Net, err = parsePrefix(words[0]); err != nil {
		return t, err
	}
	if a := t.Net.Addr(); t.Net.Bits() > 0 && (a.IsLoopback() || a.IsMulticast() || a.IsUnspecified()) {
		return t, rulef("%v: must not be loopback, multicast or unspecified: the kernel leads no packets there", t.Net)
	}
	t.Ports, err = parsePorts(words[1])
	return t, err
}
