package config

import (
	"reflect"
	"slices"
)

// Equal reports whether both doors were written to do the same, wherever they
// stand.
func (d *Door) Equal(o *Door) bool {
	a, b := *d, *o
	a.Place, b.Place = Place{}, Place{}
	a.N, b.N = 0, 0
	return reflect.DeepEqual(a, b)
}

// OptionsChanged names the options, as the manual writes them, that have
// another value in o, and those of them that only a restart can change. What
// stands for doors that say nothing themselves changes these.
func (c *Config) OptionsChanged(o *Config) (changed, fixed []string) {
	for _, k := range optionRows {
		if k.reload == byDoors || reflect.DeepEqual(k.fields(c), k.fields(o)) {
			continue
		}
		changed = append(changed, k.name())
		if k.reload == never {
			fixed = append(fixed, k.name())
		}
	}
	return changed, fixed
}

// NoRuleset names the keys of the door that no ruleset without a daemon can
// express, each with the reason.
func (d *Door) NoRuleset() (keys, reasons []string) {
	raw := &rawDoor{Door: d, spa: d.SPA}
	for _, k := range doorRows {
		if k.ruleset == "" || k.only == spaDoors && d.SPA == nil {
			continue
		}
		if k.action && !d.opens(k.names[0]) {
			continue
		}
		if slices.ContainsFunc(k.fields(raw), func(field any) bool { return !reflect.ValueOf(field).Elem().IsZero() }) {
			keys, reasons = append(keys, k.names[0]), append(reasons, k.ruleset)
		}
	}
	return keys, reasons
}
