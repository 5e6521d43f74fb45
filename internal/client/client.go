package client

import (
	"context"
	"net/netip"
)

// Opener is a way to ask a host for a door: a sequence of hits, the next line
// of a one-time file, or an authorization in a single packet.
type Opener interface {
	// Ask asks for the door once, at each of the addresses, and returns when
	// everything is sent. It does not learn whether the door opened. Repeat
	// is 0 at first and counts the repeats after that.
	Ask(ctx context.Context, hosts []netip.Addr, repeat int) error
}
