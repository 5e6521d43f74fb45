package config

import (
	"fmt"
	"net/netip"
	"time"
)

// ruleOptions are the options that say whom no door answers.
var ruleOptions = []key[*Config]{
	parsed(func(c *Config) *FailureLimit { return &c.MaxFailures }, parseFailureLimit, "max_failures").
		is(facts{follow: listComment, doc: "after how many failed attempts, and how long, an address is ignored"}),
	parsed(func(c *Config) *[]netip.Prefix { return &c.NeverIgnore }, list(parsePrefix), "never_ignore").
		is(facts{doc: "addresses that are never ignored"}),
}

// ruleKeys say who may knock, and how.
var ruleKeys = []key[*rawDoor]{
	parsed(func(d *rawDoor) *bool { return &d.Strict }, parseYes, "strict").
		is(facts{only: sequenceDoors, doc: "whether any other port fails an attempt"}),
	parsed(func(d *rawDoor) *[]PortRange { return &d.StrictIgnore }, list(parsePorts), "strict_ignore").
		is(facts{follow: listComment, needs: "strict", doc: "ports that do not fail an attempt"}),
	choice(func(d *rawDoor) *bool { return &d.ForgiveRepeats }, "fail", "forgive", "repeats").
		is(facts{only: sequenceDoors, doc: "whether a further hit on the latest step fails"}),
	parsed(func(d *rawDoor) *[]netip.Prefix { return &d.Allow }, list(parsePrefix), "allow").
		is(facts{doc: "who may knock"}),
	parsed(func(d *rawDoor) *[]netip.Prefix { return &d.Deny }, list(parsePrefix), "deny").
		is(facts{doc: "who may not, even if allow has them"}),
	parsed(func(d *rawDoor) *time.Duration { return &d.Cooldown }, parseSeconds, "cooldown").
		is(facts{follow: unitAndComment, only: sequenceDoors, ruleset: noRuleset, doc: "how long hits do nothing after an opening"}),
	choice(func(d *rawDoor) *bool { return &d.CooldownForAll }, "address", "door", "cooldown_scope").
		is(facts{only: sequenceDoors, needs: "cooldown", doc: "whose hits these are"}),
	parsed(func(d *rawDoor) *Lengths { return &d.PacketLength }, parseLengths, "packet_length").
		is(facts{follow: comment, only: sequenceDoors, ruleset: noRuleset, doc: "how long a hit must be"}),
	parsed(func(d *rawDoor) *[]PortRange { return &d.OpenPorts }, parseOpenPorts, "open_ports").
		is(facts{follow: listComment, only: sequenceDoors, doc: "the ports that a step * takes"}),
}

// parseOpenPorts reads ranges of ports that do not overlap.
func parseOpenPorts(text string) ([]PortRange, error) {
	ranges, err := list(parsePortRange)(text)
	if err != nil {
		return nil, err
	}
	if a, b, overlap := overlapping(ranges); overlap {
		return nil, fmt.Errorf("%v and %v overlap: each port must be named once", a, b)
	}
	return ranges, nil
}
