package config

import "reflect"

// Equal says whether both doors were written to do the same, wherever they
// stand.
func (d *Door) Equal(o *Door) bool {
	a, b := *d, *o
	a.Place, b.Place = Place{}, Place{}
	a.N, b.N = 0, 0
	return reflect.DeepEqual(a, b)
}

// OptionsChanged names the options, as the manual writes them, that have
// another value in o.
func (c *Config) OptionsChanged(o *Config) []string {
	var names []string
	for _, option := range []struct {
		name   string
		mine   any
		theirs any
	}{
		{"LogFile", c.LogFile, o.LogFile},
		{"PidFile", c.PidFile, o.PidFile},
		{"Interface", c.Interfaces, o.Interfaces},
		{"UseSyslog", c.UseSyslog, o.UseSyslog},
		{"StateDir", c.StateDir, o.StateDir},
		{"OnStop", c.KeepOnStop, o.KeepOnStop},
		{"MaxAttempts", c.MaxAttempts, o.MaxAttempts},
		{"LogRate", c.LogRate, o.LogRate},
		{"nft_mode", c.NftMode, o.NftMode},
		{"nft_table", c.NftTable, o.NftTable},
		{"guard_hook", c.GuardHook, o.GuardHook},
		{"nft_mark", c.NftMark, o.NftMark},
		{"max_failures", c.MaxFailures, o.MaxFailures},
		{"never_ignore", c.NeverIgnore, o.NeverIgnore},
	} {
		if !reflect.DeepEqual(option.mine, option.theirs) {
			names = append(names, option.name)
		}
	}
	return names
}
