package daemon

import (
	"slices"

	"knockd/internal/config"
	"knockd/internal/engine"
	"knockd/internal/event"
	"knockd/internal/firewall"
)

// Check says what is wrong with the files that a configuration names, and what
// would be safer. State says whether there is a directory to keep state in. It
// changes nothing.
func Check(conf *config.Config, state bool) (doubts []event.Event, advice []string, err error) {
	doors, doubts, err := engine.Prepare(conf)
	keyed := slices.ContainsFunc(conf.Doors, func(c *config.Door) bool { return c.SPA != nil })
	if err == nil && keyed && !state {
		err = errNoStore
	}
	advice = engine.KeyAdvice(doors)
	if rule := firewall.MarkRule(conf); rule != "" {
		advice = append(advice, rule)
	}
	return append(doubts, examine(conf)...), append(conf.Advice, advice...), err
}
