package daemon

import (
	"errors"
	"sync/atomic"

	"knockd/internal/config"
	"knockd/internal/firewall"
	"knockd/internal/nft"
	"knockd/internal/trial"
)

// ensure makes the firewall fit the doors of a configuration, on trial or not,
// and what leads elsewhere beside it.
func (d *Daemon) ensure(conf *config.Config, state *trial.State) error {
	err := d.ensureOne(d.Firewall, d.firewallOptions(conf), OnTrial(state), firewall.Doors(conf))
	if err == nil {
		err = d.ensureOne(d.NAT, firewall.NATOptions(conf, d.Log.Event), nil, firewall.NATDoors(conf))
		if err != nil && conf != d.conf { // a reload that cannot change all changes nothing
			err = errors.Join(err, d.ensureOne(d.Firewall, d.firewallOptions(d.conf), OnTrial(d.trial.state), firewall.Doors(d.conf)))
		}
	}
	return Lacking("CAP_NET_ADMIN", err)
}

// ensureOne makes one table fit. It is connected to when its first door
// appears.
func (d *Daemon) ensureOne(in *atomic.Pointer[nft.Firewall], o nft.Options, t *nft.Trial, list []nft.Door) error {
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
	was, trialWas := fw.SetRescue(o.Rescue), fw.SetTrial(t)
	doubts, err := fw.Ensure(list)
	d.logAll(doubts)
	switch {
	case err == nil:
		in.Store(fw)
	case in.Load() == nil:
		fw.Close()
	default:
		fw.SetRescue(was)
		fw.SetTrial(trialWas)
	}
	return err
}

// firewallOptions are for the table of the mode, while the daemon runs.
func (d *Daemon) firewallOptions(conf *config.Config) nft.Options {
	o := firewall.Options(conf, d.Log.Event)
	o.Listening = d.capturing.Load
	return o
}
