package daemon

import (
	"slices"

	"knockd/internal/config"
	"knockd/internal/engine"
	"knockd/internal/event"
	"knockd/internal/firewall"
	"knockd/internal/openings"
)

// Check says what is wrong with the files that a configuration names, and what
// would be safer. State says whether there is a directory to keep state in. It
// changes nothing.
func Check(conf *config.Config, actions map[string]openings.Action, state bool) (doubts []event.Event, advice []string, err error) {
	doors, doubts, err := engine.Prepare(conf)
	keyed := slices.ContainsFunc(conf.Doors, func(c *config.Door) bool { return c.SPA != nil })
	if err == nil && keyed && !state {
		err = errNoStore
	}
	advice = engine.KeyAdvice(doors)
	if rule := firewall.MarkRule(conf); rule != "" {
		advice = append(advice, rule)
	}
	doubts = append(doubts, checkHistory(conf)...)
	return append(doubts, examine(conf, actions)...), append(conf.Advice, advice...), err
}

// examine says which doors cannot work on this host as it is.
func examine(conf *config.Config, actions map[string]openings.Action) (found []event.Event) {
	for _, d := range conf.Doors {
		for _, a := range d.Actions {
			if err := actions[a.Name].Check(a.Args); err != nil {
				found = append(found, event.Finding{Door: d.ID(), Finding: "door " + d.Name + ": " + err.Error()})
			}
		}
	}
	return append(found, firewall.Examine(conf)...)
}
