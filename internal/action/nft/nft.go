// Package nft opens and closes doors in the table that the daemon keeps in the
// kernel's nf_tables.
package nft

import (
	"context"
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"knockd/internal/knock"
	"knockd/internal/nft"
)

// Action opens doors in the table of a firewall, which is there only while a
// door of the configuration needs it.
type Action struct{ Firewall *atomic.Pointer[nft.Firewall] }

// Open opens the ports of the door, or the one of the arguments.
func (a Action) Open(_ context.Context, o *knock.Opening) (status int, err error) {
	fw := a.Firewall.Load()
	if fw == nil {
		return 0, errors.New("no native doors any more")
	}
	_, err = fw.Open(element(o))
	return 0, err
}

// Close closes them. Without a firewall only the journal knows of the opening,
// which ended in the kernel with its door or will in its time.
func (a Action) Close(_ context.Context, o *knock.Opening) (status int, err error) {
	fw := a.Firewall.Load()
	if fw == nil {
		return 0, nil
	}
	_, err = fw.CloseOpening(element(o))
	if errors.Is(err, nft.ErrNoDoor) {
		return 0, nil // and so without openings
	}
	return 0, err
}

// Traits implements openings.Action.
func (Action) Traits() knock.Traits { return knock.Traits{} }

// Text returns the one port of the arguments, else all of the door's, which the
// opening bears from birth.
func (Action) Text(o *knock.Opening) string {
	if o.Args.Port == (knock.Step{}) {
		return o.What
	}
	return o.Args.Port.Ports().String()
}

// Check finds nothing: the doors of a table are examined together.
func (Action) Check(knock.Arguments) error { return nil }

// Needs returns what the kernel asks of those who change tables.
func (Action) Needs(knock.Arguments) uint64 { return 1 << unix.CAP_NET_ADMIN }

// element returns an opening as the firewall knows it.
func element(o *knock.Opening) nft.Element {
	return nft.Element{Door: o.Door, Addr: o.Addr, Timeout: o.Timeout,
		Proto: o.Args.Port.Proto, Port: o.Args.Port.Port, To: o.Args.To}
}
