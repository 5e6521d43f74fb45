package main

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"

	"knockd/internal/action"
	"knockd/internal/capture"
	"knockd/internal/cli"
	"knockd/internal/config"
	"knockd/internal/eventlog"
	"knockd/internal/netstate"
	"knockd/internal/offline"
)

// replay is --read: the log of a capture file, on standard output or in the
// file that -g names.
func (o *options) replay(conf *config.Config, stdout io.Writer) error {
	local, err := o.localAddresses(conf)
	if err != nil {
		return err
	}
	source, err := capture.OpenFile(o.read)
	if err != nil {
		return err
	}
	defer source.Close()
	out := stdout
	if o.logFile != "" {
		file, err := eventlog.OpenFile(o.logFile)
		if err != nil {
			return err
		}
		defer file.Close()
		file.Patience = -1
		out = file.Output
	}
	offline.BoundMemory(conf, false)
	log := eventlog.NewRecorder(out)
	r := offline.Replay{Local: local, OnlyIPv4: o.onlyV4, Actions: action.Stopped(), Event: log.Event, Idle: log.Flush}
	err = r.Run(conf, source)
	return cmp.Or(err, log.Close())
}

// localAddresses returns those that --address names, else those of the
// interface.
func (o *options) localAddresses(conf *config.Config) ([]netip.Addr, error) {
	if len(o.addresses) == 0 {
		names, _ := capture.ToListenOn(o.interfaces, conf.Interfaces)
		local, err := addressesOf(names)
		if err != nil {
			return nil, cli.WithHint(err, "say with --address which addresses are local")
		}
		return local, nil
	}
	var local []netip.Addr
	for _, text := range o.addresses {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("--address %q: not an IP address", text)
		}
		local = append(local, a)
	}
	return local, nil
}

// addressesOf returns the addresses that the named interfaces, or labels, have
// now; of all interfaces of the host for "any".
func addressesOf(names []string) ([]netip.Addr, error) {
	state, err := netstate.Read()
	if err != nil {
		return nil, fmt.Errorf("read the network's state: %w", err)
	}
	var all []netip.Addr
	for _, name := range names {
		if name == config.AnyInterface {
			return state.Addrs(nil), nil
		}
		_, addrs, ok := state.Named(name)
		if !ok {
			return nil, fmt.Errorf("read the addresses of %s: no such network interface", name)
		}
		all = append(all, addrs...)
	}
	return all, nil
}
