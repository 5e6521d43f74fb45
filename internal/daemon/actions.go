package daemon

import (
	"sync/atomic"

	nftaction "knockd/internal/action/nft"
	"knockd/internal/action/xtrecent"
	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/firewall"
	"knockd/internal/knock"
	"knockd/internal/nft"
	"knockd/internal/openings"
)

// action is one way to open and close doors without a shell.
type action interface {
	openings.Native
	// Check says why what these arguments name cannot be opened on this host.
	Check(args knock.Arguments) error
	// Needs is the set of capabilities, as bits, that opening and closing take.
	Needs() uint64
}

// The actions that no key names: knock.Opening.Action.
const (
	nftKind = "nft" // opens ports
	natKind = "nat" // leads a port elsewhere
)

// actions are all there are, by the key that names one, with these firewalls.
func actions(firewall, nat *atomic.Pointer[nft.Firewall]) map[string]action {
	return map[string]action{
		nftKind:     nftaction.Action{Firewall: firewall},
		natKind:     nftaction.Action{Firewall: nat},
		"xt_recent": xtrecent.Action{},
	}
}

// natives are actions as openings know them.
func natives(all map[string]action) map[string]openings.Native {
	list := map[string]openings.Native{}
	for kind, a := range all {
		list[kind] = a
	}
	return list
}

// stopped are the actions without a firewall.
func stopped() map[string]action {
	var none atomic.Pointer[nft.Firewall]
	return actions(&none, &none)
}

// StoppedNatives are the openers while no daemon runs: for closing what the
// journal holds. What is open in nf_tables is closed all at once, elsewhere.
func StoppedNatives() map[string]openings.Native { return natives(stopped()) }

// argumentsOf are those of an action that a key names.
func argumentsOf(a config.Action) knock.Arguments { return knock.Arguments{Value: a.Value} }

// examine says which doors cannot work on this host as it is.
func examine(conf *config.Config) (found []event.Event) {
	all := stopped()
	for _, d := range conf.Doors {
		for _, a := range d.Actions {
			if err := all[a.Key].Check(argumentsOf(a)); err != nil {
				found = append(found, event.Finding{Door: d.ID(), Finding: "door " + d.Name + ": " + err.Error()})
			}
		}
	}
	return append(found, firewall.Examine(conf)...)
}
