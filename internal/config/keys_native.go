package config

// nativeOptions are the options of native doors.
var nativeOptions = []key[*Config]{
	parsed(func(c *Config) *NftMode { return &c.NftMode }, wordOf(nftModes...), "nft_mode").
		is(facts{reload: never, doc: "how native doors work with the firewall"}),
	parsed(func(c *Config) *Table { return &c.NftTable }, parseTable, "nft_table").
		is(facts{reload: never, doc: "the daemon's own table"}),
	parsed(func(c *Config) *GuardHook { return &c.GuardHook }, wordOf(HookInput, HookPrerouting), "guard_hook").
		is(facts{reload: never, doc: "where the guard stands"}),
	parsed(func(c *Config) *Mark { return &c.NftMark }, parseMark, "nft_mark").
		is(facts{follow: comment, reload: never, doc: "the mark of what native doors let in"}),
	parsed(func(c *Config) *SetRef { return &c.NftSet }, parseSet("ip6"), "nft_set").
		is(facts{reload: byDoors, doc: "the host's set for IPv4, where a door names none"}),
	parsed(func(c *Config) *SetRef { return &c.NftSet6 }, parseSet("ip"), "nft_set_6").
		is(facts{reload: byDoors, doc: "the host's set for IPv6, where a door names none"}),
}

// nativeKeys say what a door opens without a command.
var nativeKeys = []key[*rawDoor]{
	valueKey(readOpen, "open").sets(func(d *rawDoor) []any { return []any{&d.Open, &d.OpenNamed} }).
		is(facts{follow: listComment, doc: "the ports that the door opens without a command"}),
	parsed(func(d *rawDoor) *SetRef { return &d.NftSet }, parseSet("ip6"), "nft_set").
		is(facts{doc: "the host's set for IPv4"}),
	parsed(func(d *rawDoor) *SetRef { return &d.NftSet6 }, parseSet("ip"), "nft_set_6").
		is(facts{doc: "the host's set for IPv6"}),
	parsed(func(d *rawDoor) *string { return &d.XtRecent }, parseRecent, "xt_recent").
		is(facts{ruleset: "a ruleset has lists of its own: write open = tcp/22 (the ports) in its place", doc: "the list of iptables' match recent that knockers are put in"}),
	parsed(func(d *rawDoor) *int { return &d.OpenPrefix4 }, between(8, 32), "open_prefix_4").
		is(facts{follow: comment, doc: "how many bits of an IPv4 address count"}),
	parsed(func(d *rawDoor) *int { return &d.OpenPrefix6 }, between(16, 128), "open_prefix_6").
		is(facts{follow: comment, doc: "how many bits of an IPv6 address count"}),
	parsed(func(d *rawDoor) *string { return &d.Close }, parseText, "close").
		is(facts{doc: "the door whose openings this one ends"}),
}
