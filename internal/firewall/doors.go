package firewall

import (
	"slices"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
	"knockd/internal/nft"
)

// opensPorts reports whether a door of the configuration opens in nf_tables.
func opensPorts(conf *config.Config) bool {
	for _, d := range conf.Doors {
		if d.OpensPorts() {
			return true
		}
	}
	return false
}

// Options are for the table of the mode.
func Options(conf *config.Config, notify func(event.Event)) nft.Options {
	return nft.Options{
		Mode:   nft.ModeNamed(string(conf.NftMode)),
		Table:  conf.NftTable,
		Hook:   hooks[conf.GuardHook],
		Mark:   conf.NftMark,
		Rescue: conf.Rescue,
		Notify: notify,
	}
}

var (
	hooks = map[config.GuardHook]nft.Hook{
		config.HookInput: nft.Input, config.HookPrerouting: nft.Prerouting,
	}
)

// Doors returns the doors that open ports, as the kernel's table has to know
// them.
func Doors(conf *config.Config) []nft.Door {
	var list []nft.Door
	for _, d := range conf.Doors {
		if !d.OpensPorts() {
			continue
		}
		list = append(list, nft.Door{
			DoorID: d.ID(), Ports: MayOpen(d), Timeout: d.CmdTimeout,
			OnePort:    d.SPA != nil || len(d.OpenNamed) > 0,
			PrefixLen4: d.OpenPrefix4, PrefixLen6: d.OpenPrefix6,
			Set4: d.NftSet, Set6: d.NftSet6,
			NAT: targetsOf(d), Masquerade: d.SPA != nil && d.SPA.NATMasquerade,
		})
	}
	return list
}

// MayOpen returns the ports that a door may open without a command: in place of the port that a
// knock names, all those that it can name.
func MayOpen(d *config.Door) []knock.PortRange {
	ports := slices.Clone(d.Open)
	for _, proto := range d.OpenNamed {
		for _, r := range d.OpenPorts {
			ports = append(ports, knock.PortRange{Proto: proto, First: r.First, Last: r.Last})
		}
	}
	return ports
}

// NATOptions are for the table of what leads elsewhere.
func NATOptions(conf *config.Config, notify func(event.Event)) nft.Options {
	o := Options(conf, notify)
	o.Mode, o.Table = nft.NAT, nft.NATTable(o.Table)
	return o
}

// NATDoors returns the doors that may lead elsewhere.
func NATDoors(conf *config.Config) []nft.Door {
	var list []nft.Door
	for _, d := range Doors(conf) {
		if len(d.NAT) > 0 {
			list = append(list, d)
		}
	}
	return list
}

// targetsOf returns where NAT messages to a door may lead.
func targetsOf(d *config.Door) []knock.NATTarget {
	if d.SPA == nil {
		return nil
	}
	return d.SPA.NATAllow
}
