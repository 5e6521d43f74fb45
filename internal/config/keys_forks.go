package config

import "time"

// forkOptions and forkKeys are keys of patched versions of knockd 0.8 that
// people's files have: the one of a pull request against browsers that knock
// twice, and the one that images of game servers come with.
var (
	forkOptions = []key[*Config]{
		{
			names: []string{"allowduplicates"}, word: true, valued: true,
			facts:  facts{spelled: "AllowDuplicates", reload: byDoors, doc: "repeats = forgive, where a door does not say"},
			fields: oneField(func(c *Config) *bool { return &c.ForgiveRepeats }),
			note:   "is taken as repeats = forgive of all doors, which forgives a further hit on the latest step alone, not on earlier ones",
			read: func(c *Config, value string) (trace []string, err error) {
				c.ForgiveRepeats = true
				if value != "" {
					c.ForgiveRepeats, err = parseYes(value)
				}
				return []string{"allowduplicates"}, err
			},
		},
	}
	forkKeys = []key[*rawDoor]{
		valueKey(func(d *rawDoor, value string) (err error) {
			var t time.Duration
			if t, err = parseSeconds(value); err == nil {
				d.Cooldown, d.CooldownForAll = t, true
			}
			return err
		}, "seq_cooldown").sets(func(d *rawDoor) []any { return []any{&d.Cooldown, &d.CooldownForAll} }).
			is(facts{follow: unitAndComment, only: sequenceDoors, excludes: []string{"cooldown", "cooldown_scope"}, doc: "cooldown and cooldown_scope = door, of a patched knockd"}),
	}
)
