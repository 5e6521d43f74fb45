// Package nat leads a port elsewhere for a knocker, in a table of its own in the
// kernel's nf_tables.
package nat

import (
	"fmt"

	"knockd/internal/action/nft"
	"knockd/internal/knock"
)

// Action is that of a firewall's elements, whose arguments say where the port
// leads.
type Action struct{ nft.Action }

// Text returns the port, and where it leads.
func (Action) Text(o *knock.Opening) string {
	return fmt.Sprintf("%v to %v", o.Args.Port.Ports(), o.Args.To)
}
