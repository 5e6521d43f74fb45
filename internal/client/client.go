// Package client is what happens on the knocker's side: find the address,
// send the hits of a sequence, wait until the door is open, and carry on the
// connection that was made meanwhile. It prints nothing and reads no
// configuration.
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
