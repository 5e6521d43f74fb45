package config

// nativeOptions are the options of native doors.
var nativeOptions = []key[*Config]{
	valueKey(func(c *Config, value string) error {
		word, err := oneOf(string(NftGuard), string(NftMark), string(NftSet))(value)
		c.NftMode = NftMode(word)
		return err
	}, "nft_mode"),
	parsed(func(c *Config) *Table { return &c.NftTable }, parseTable, "nft_table"),
	valueKey(func(c *Config, value string) error {
		word, err := oneOf(string(HookInput), string(HookPrerouting))(value)
		c.GuardHook = GuardHook(word)
		return err
	}, "guard_hook"),
	parsed(func(c *Config) *Mark { return &c.NftMark }, parseMark, "nft_mark").followed(comment),
	parsed(func(c *Config) *SetRef { return &c.NftSet }, parseSet("ip6"), "nft_set"),
	parsed(func(c *Config) *SetRef { return &c.NftSet6 }, parseSet("ip"), "nft_set_6"),
}

// nativeKeys say what a door opens without a command.
var nativeKeys = []key[*rawDoor]{
	valueKey(readOpen, "open").followed(listComment),
	parsed(func(d *rawDoor) *SetRef { return &d.NftSet }, parseSet("ip6"), "nft_set"),
	parsed(func(d *rawDoor) *SetRef { return &d.NftSet6 }, parseSet("ip"), "nft_set_6"),
	parsed(func(d *rawDoor) *string { return &d.XtRecent }, parseRecent, "xt_recent"),
	parsed(func(d *rawDoor) *int { return &d.OpenPrefix4 }, between(8, 32), "open_prefix_4").followed(comment),
	parsed(func(d *rawDoor) *int { return &d.OpenPrefix6 }, between(16, 128), "open_prefix_6").followed(comment),
	parsed(func(d *rawDoor) *string { return &d.Close }, parseText, "close"),
}
