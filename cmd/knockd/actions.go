package main

import (
	"sync/atomic"

	"knockd/internal/action/command"
	"knockd/internal/action/nat"
	nftaction "knockd/internal/action/nft"
	"knockd/internal/action/xtrecent"
	"knockd/internal/nft"
	"knockd/internal/openings"
)

// actions are all ways to open and close doors, by the names that the rows of the
// configuration give them. Those that work on a table of nf_tables take it from
// here while there is one.
func actions(firewall, natTable *atomic.Pointer[nft.Firewall]) map[string]openings.Action {
	return map[string]openings.Action{
		"command":   command.Action{},
		"nat":       nat.Action{Action: nftaction.Action{Firewall: natTable}},
		"nft":       nftaction.Action{Firewall: firewall},
		"xt_recent": xtrecent.Action{},
	}
}

// stoppedActions are actions while no daemon runs. What is open in nf_tables is
// closed all at once, elsewhere.
func stoppedActions() map[string]openings.Action {
	var none atomic.Pointer[nft.Firewall]
	return actions(&none, &none)
}
