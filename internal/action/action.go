// Package action is the list of the ways to open and close doors, by the names that
// the rows of the configuration give them.
package action

import (
	"sync/atomic"

	"knockd/internal/action/command"
	"knockd/internal/action/nat"
	nftaction "knockd/internal/action/nft"
	"knockd/internal/action/xtrecent"
	"knockd/internal/nft"
	"knockd/internal/openings"
)

// All returns all of them. Those that work on a table of nf_tables take it from
// here while there is one.
func All(firewall, natTable *atomic.Pointer[nft.Firewall]) map[string]openings.Action {
	return map[string]openings.Action{
		"command":   command.Action{},
		"nat":       nat.Action{Action: nftaction.Action{Firewall: natTable}},
		"nft":       nftaction.Action{Firewall: firewall},
		"xt_recent": xtrecent.Action{},
	}
}

// Stopped returns all of them while no daemon runs. What is open in nf_tables is
// closed all at once, elsewhere.
func Stopped() map[string]openings.Action {
	var none atomic.Pointer[nft.Firewall]
	return All(&none, &none)
}
