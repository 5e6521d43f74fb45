package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/google/nftables"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/knock"
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
	err := d.ensureOne(&d.firewall, d.firewallOptions(conf), nativeDoors(conf))
	if err == nil {
		err = d.ensureOne(&d.nat, natOptions(conf, d.Log.Event), natDoors(conf))
		if err != nil && conf != d.conf { // a reload that cannot change all changes nothing
			err = errors.Join(err, d.ensureOne(&d.firewall, d.firewallOptions(d.conf), nativeDoors(d.conf)))
		}
	}
	return lacking("CAP_NET_ADMIN", err)
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
		if fw, err = connect(o); err != nil {
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

func connect(o nft.Options) (*nft.Firewall, error) {
	fw, err := nft.New(o)
	if err != nil {
		return nil, fmt.Errorf("connect to nf_tables: %w", err)
	}
	return fw, nil
}

// hasNative says whether a door of the configuration opens in nf_tables.
func hasNative(conf *config.Config) bool {
	for _, d := range conf.Doors {
		if d.OpensPorts() {
			return true
		}
	}
	return false
}

// firewallOptions are for the table of the mode, while the daemon runs.
func (d *Daemon) firewallOptions(conf *config.Config) nft.Options {
	o := firewallOptions(conf, d.Log.Event)
	o.Listening = d.hears.Load
	return o
}

func firewallOptions(conf *config.Config, notify func(event.Event)) nft.Options {
	return nft.Options{
		Mode:   nft.ModeNamed(string(conf.NftMode)),
		Table:  tableOf(conf.NftTable),
		Hook:   hooks[conf.GuardHook],
		Mark:   nft.Marking(conf.NftMark),
		Notify: notify,
	}
}

var (
	hooks = map[config.GuardHook]nft.Hook{
		config.HookInput: nft.Input, config.HookPrerouting: nft.Prerouting,
	}
	families = map[string]nftables.TableFamily{
		"inet": nftables.TableFamilyINet, "ip": nftables.TableFamilyIPv4, "ip6": nftables.TableFamilyIPv6,
	}
)

func tableOf(t config.Table) nft.Table {
	return nft.Table{Family: families[t.Family], Name: t.Name}
}

func setOf(s config.SetRef) nft.SetName {
	if s == (config.SetRef{}) {
		return nft.SetName{}
	}
	return nft.SetName{Table: tableOf(s.Table), Name: s.Set}
}

// nativeDoors are the doors that the firewall has to know.
func nativeDoors(conf *config.Config) []nft.Door {
	var list []nft.Door
	for _, d := range conf.Doors {
		if !d.OpensPorts() {
			continue
		}
		list = append(list, nft.Door{
			DoorID: d.ID(), Ports: mayOpen(d), Timeout: d.CmdTimeout,
			OnePort:    d.SPA != nil || len(d.OpenNamed) > 0,
			PrefixLen4: d.OpenPrefix4, PrefixLen6: d.OpenPrefix6,
			Set4: setOf(d.NftSet), Set6: setOf(d.NftSet6),
			NAT: targetsOf(d), Masquerade: d.SPA != nil && d.SPA.NATMasquerade,
		})
	}
	return list
}

// mayOpen are the ports that a door may open: in place of the port that a
// knock names, all those that it can name.
func mayOpen(d *config.Door) []knock.PortRange {
	ports := slices.Clone(d.Open)
	for _, proto := range d.OpenNamed {
		for _, r := range d.OpenPorts {
			ports = append(ports, knock.PortRange{Proto: proto, First: r.First, Last: r.Last})
		}
	}
	return ports
}

// guarded lists the ports of all native doors, each once.
func guarded(conf *config.Config) string {
	var all []knock.PortRange
	for _, d := range conf.Doors {
		for _, p := range mayOpen(d) {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return event.Ports(all)
}

// StoppedNatives are the openers while no daemon runs: for closing what the
// journal holds. What is open in nf_tables is closed all at once, elsewhere.
func StoppedNatives() map[string]openings.Native {
	var none atomic.Pointer[nft.Firewall]
	return nativesOf(&none, &none)
}
