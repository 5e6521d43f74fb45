package daemon

import (
	"errors"
	"sync/atomic"

	"knockd/internal/config"
	"knockd/internal/firewall"
	"knockd/internal/nft"
)

// ensure makes the firewall fit the doors of a configuration, and what leads
// elsewhere beside it.
func (d *Daemon) ensure(conf *config.Config) error {
	err := d.ensureOne(d.Firewall, d.firewallOptions(conf), firewall.Doors(conf))
	if err == nil {
		err = d.ensureOne(d.NAT, firewall.NATOptions(conf, d.Log.Event), firewall.NATDoors(conf))
		if err != nil && conf != d.conf { // a reload that cannot change all changes nothing
			err = errors.Join(err, d.ensureOne(d.Firewall, d.firewallOptions(d.conf), firewall.Doors(d.conf)))
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
	was := fw.SetRescue(o.Rescue)
	doubts, err := fw.Ensure(list)
	d.logAll(doubts)
	switch {
	case err == nil:
		in.Store(fw)
	case in.Load() == nil:
		fw.Close()
	default:
		fw.SetRescue(was)
	}
	return err
}

// firewallOptions are for the table of the mode, while the daemon runs.
func (d *Daemon) firewallOptions(conf *config.Config) nft.Options {
	o := firewall.Options(conf, d.Log.Event)
	o.Listening = d.capturing.Load
	return o
}
