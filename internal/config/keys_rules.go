package config

import (
	"net/netip"
	"time"
)

// ruleOptions are the options that say whom no door answers.
var ruleOptions = []key[*Config]{
	parsed(func(c *Config) *FailureLimit { return &c.MaxFailures }, parseFailureLimit, "max_failures").followed(listComment),
	parsed(func(c *Config) *[]netip.Prefix { return &c.NeverIgnore }, list(parsePrefix), "never_ignore"),
}

// ruleKeys say who may knock, and how.
var ruleKeys = []key[*rawDoor]{
	parsed(func(d *rawDoor) *bool { return &d.Strict }, parseYes, "strict"),
	parsed(func(d *rawDoor) *[]PortRange { return &d.StrictIgnore }, list(parsePorts), "strict_ignore").followed(listComment),
	parsed(func(d *rawDoor) *bool { return &d.ForgiveRepeats }, parseRepeats, "repeats"),
	parsed(func(d *rawDoor) *[]netip.Prefix { return &d.Allow }, list(parsePrefix), "allow"),
	parsed(func(d *rawDoor) *[]netip.Prefix { return &d.Deny }, list(parsePrefix), "deny"),
	parsed(func(d *rawDoor) *time.Duration { return &d.Cooldown }, parseSeconds, "cooldown").followed(unitAndComment),
	parsed(func(d *rawDoor) *bool { return &d.CooldownForAll }, parseScope, "cooldown_scope"),
	parsed(func(d *rawDoor) *Lengths { return &d.PacketLength }, parseLengths, "packet_length").followed(comment),
	parsed(func(d *rawDoor) *[]PortRange { return &d.OpenPorts }, parseOpenPorts, "open_ports").followed(listComment),
}

func parseRepeats(text string) (forgive bool, err error) {
	word, err := oneOf("fail", "forgive")(text)
	return word == "forgive", err
}

func parseScope(text string) (forAll bool, err error) {
	word, err := oneOf("address", "door")(text)
	return word == "door", err
}

// parseOpenPorts reads ranges of ports that do not overlap.
func parseOpenPorts(text string) ([]PortRange, error) {
	ranges, err := list(parsePortRange)(text)
	if err != nil {
		return nil, err
	}
	if a, b, overlap := overlapping(ranges); overlap {
		return nil, rulef("%v and %v overlap: each port must be named once", a, b)
	}
	return ranges, nil
}
