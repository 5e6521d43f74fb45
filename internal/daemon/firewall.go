package daemon

import (
	"context"
	"errors"
	"sync/atomic"

	"knockd/internal/config"
	"knockd/internal/firewall"
	"knockd/internal/nft"
	"knockd/internal/openings"
)

// The kinds of openings that need no shell: openings.Opening.Kind.
const (
	nftKind    = "nft"
	recentKind = "xt_recent"
)

// nativesOf are the openers of all kinds, with these firewalls.
func nativesOf(firewall, nat *atomic.Pointer[nft.Firewall]) map[string]openings.Native {
	return map[string]openings.Native{recentKind: recentOpener{}, nftKind: nftOpener{firewall}, natKind: nftOpener{nat}}
}

// nftOpener opens doors in the kernel's own firewall, which is there only while
// a door of the configuration needs it.
type nftOpener struct{ firewall *atomic.Pointer[nft.Firewall] }

// Open implements openings.Native.
func (n nftOpener) Open(_ context.Context, o *openings.Opening) error {
	fw := n.firewall.Load()
	if fw == nil {
		return errors.New("no native doors any more")
	}
	_, err := fw.Open(nftOpening(o))
	return err
}

// Close implements openings.Native. Without a firewall only the journal knows of
// the opening, which ended in the kernel with its door or will in its time.
func (n nftOpener) Close(_ context.Context, o *openings.Opening) error {
	fw := n.firewall.Load()
	if fw == nil {
		return nil
	}
	_, err := fw.CloseOpening(nftOpening(o))
	if errors.Is(err, nft.ErrNoDoor) {
		return nil // and so without openings
	}
	return err
}

// nftOpening is an opening as the firewall knows it.
func nftOpening(o *openings.Opening) nft.Opening {
	return nft.Opening{Door: o.Door, Addr: o.Addr, Timeout: o.Timeout,
		Proto: o.Args.Port.Proto, Port: o.Args.Port.Port, To: o.Args.To}
}

// ensure makes the firewall fit the doors of a configuration, and what leads
// elsewhere beside it.
func (d *Daemon) ensure(conf *config.Config) error {
	err := d.ensureOne(&d.firewall, d.firewallOptions(conf), firewall.Doors(conf))
	if err == nil {
		err = d.ensureOne(&d.nat, firewall.NATOptions(conf, d.Log.Event), firewall.NATDoors(conf))
		if err != nil && conf != d.conf { // a reload that cannot change all changes nothing
			err = errors.Join(err, d.ensureOne(&d.firewall, d.firewallOptions(d.conf), firewall.Doors(d.conf)))
		}
	}
	return Lacking("CAP_NET_ADMIN", err)
}

// ensureOne makes one table fit. It is connected to when its first door
// appears.
func (d *Daemon) ensureOne(in *atomic.Pointer[nft.Firewall], o nft.Options, list []nft.Door) error {
	fw := in.Load()
	if fw == nil {
		if len(list) == 0 {
			return nil
		}
		var err error
		if fw, err = firewall.Connect(o); err != nil {
			return err
		}
	}
	doubts, err := fw.Ensure(list)
	d.tellAll(doubts)
	if err == nil {
		in.Store(fw)
	} else if in.Load() == nil {
		fw.Close()
	}
	return err
}

// firewallOptions are for the table of the mode, while the daemon runs.
func (d *Daemon) firewallOptions(conf *config.Config) nft.Options {
	o := firewall.Options(conf, d.Log.Event)
	o.Listening = d.hears.Load
	return o
}

// StoppedNatives are the openers while no daemon runs: for closing what the
// journal holds. What is open in nf_tables is closed all at once, elsewhere.
func StoppedNatives() map[string]openings.Native {
	var none atomic.Pointer[nft.Firewall]
	return nativesOf(&none, &none)
}
