package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// spaKeys are those of an SPA door.
var spaKeys = []key[*rawDoor]{
	parsed(func(d *rawDoor) *string { return &d.settings().KeyFile }, parsePath, "spa_key_file").
		is(facts{only: spaDoors, ruleset: noRuleset, doc: "the keys of those who may open the door"}),
	parsed(func(d *rawDoor) *[]PortRange { return &d.settings().Ports }, list(parsePortRange), "spa_port").
		is(facts{only: spaDoors, follow: listComment, doc: "where its packets arrive"}),
	parsed(func(d *rawDoor) *[]netip.Prefix { return &d.settings().AllowInside }, list(parsePrefix), "allow_inside").
		is(facts{only: spaDoors, doc: "the addresses that a message may ask for"}),
	parsed(func(d *rawDoor) *time.Duration { return &d.settings().MaxTimeout }, parseSeconds, "max_timeout").
		is(facts{only: spaDoors, follow: unitAndComment, doc: "the longest time that a message may ask for"}),
	parsed(func(d *rawDoor) *string { return &d.settings().HMAC },
		oneOf("sha256", "sha384", "sha512", "sha3_256", "sha3_512", "sha1", "md5", "none"), "spa_hmac").
		is(facts{only: spaDoors, doc: "the digest of the HMAC"}),
	parsed(func(d *rawDoor) *[]PortRange { return &d.settings().AllowPorts }, list(parsePorts), "allow_ports").
		is(facts{only: spaDoors, follow: listComment, needs: "start_command", doc: "ports that may be asked for and commands open"}),
	parsed(func(d *rawDoor) *[]PortRange { return &d.settings().DenyPorts }, list(parsePorts), "deny_ports").
		is(facts{only: spaDoors, follow: listComment, doc: "ports that may not be asked for"}),
	parsed(func(d *rawDoor) *string { return &d.settings().RequireUser }, parseText, "require_user").
		is(facts{only: spaDoors, doc: "the user name that a message must have"}),
	parsed(func(d *rawDoor) *bool { return &d.settings().RequireSource }, parseYes, "require_source").
		is(facts{only: spaDoors, doc: "whether a message must name its sender"}),
	parsed(func(d *rawDoor) *time.Time { return &d.settings().Expires }, parseDate, "expires").
		is(facts{only: spaDoors, follow: comment, doc: "when the door ends"}),
	parsed(func(d *rawDoor) *[]netip.Prefix { return &d.settings().Destination }, list(parsePrefix), "destination").
		is(facts{only: spaDoors, doc: "where packets must have been sent to"}),
	parsed(func(d *rawDoor) *time.Duration { return &d.settings().MaxAge }, parseSeconds, "spa_max_age").
		is(facts{only: spaDoors, follow: unitAndComment, doc: "how old a message may be"}),
	parsed(func(d *rawDoor) *bool { return &d.settings().IPv6 }, parseYes, "spa_ipv6").
		is(facts{only: spaDoors, doc: "whether IPv6 is taken"}),
	parsed(func(d *rawDoor) *[]Transport { return &d.settings().Transports }, list(wordOf(TransportTCP, TransportHTTP)), "spa_transport").
		is(facts{only: spaDoors, doc: "ways for a packet beside UDP"}),
	parsed(func(d *rawDoor) *[]netip.Prefix { return &d.settings().TrustedProxies }, list(parsePrefix), "trusted_proxies").
		is(facts{only: spaDoors, needs: "spa_transport", doc: "whose X-Forwarded-For counts"}),
	parsed(func(d *rawDoor) *[]NATTarget { return &d.settings().NATAllow }, list(parseNATTarget), "nat_allow").acting(natActions).
		is(facts{only: spaDoors, needs: "open", doc: "where NAT messages may lead"}),
	parsed(func(d *rawDoor) *NATOnly { return &d.settings().NATOnly }, wordOf(NATForward, NATLocal), "nat_only").
		is(facts{only: spaDoors, needs: "nat_allow", doc: "which NAT messages are taken"}),
	parsed(func(d *rawDoor) *bool { return &d.settings().NATMasquerade }, parseYes, "nat_masquerade").
		is(facts{only: spaDoors, needs: "nat_allow", doc: "whether those whom NAT leads to see this host"}),
}

// settings returns what the door asks of a packet, at first the defaults.
func (d *rawDoor) settings() *SPA {
	if d.spa == nil {
		d.spa = &SPA{
			Ports:      []PortRange{{First: DefaultSPAPort, Last: DefaultSPAPort}},
			MaxTimeout: DefaultSPAMaxTimeout,
			MaxAge:     DefaultSPAMaxAge,
		}
	}
	return d.spa
}

// parseNATTarget reads "10.0.0.0/24 tcp/22".
func parseNATTarget(text string) (t NATTarget, err error) {
	words := strings.Fields(text)
	if len(words) != 2 {
		return t, fmt.Errorf("%q: must be NETWORK PROTOCOL/PORT, as 10.0.0.0/24 tcp/22", text)
	}
	if t.Net, err = parsePrefix(words[0]); err != nil {
		return t, err
	}
	if a := t.Net.Addr(); t.Net.Bits() > 0 && (a.IsLoopback() || a.IsMulticast() || a.IsUnspecified()) {
		return t, fmt.Errorf("%v: must not be loopback, multicast or unspecified: the kernel leads no packets there", t.Net)
	}
	t.Ports, err = parsePorts(words[1])
	return t, err
}
