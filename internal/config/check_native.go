package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// maxSetPorts is how many elements one opening may put into the host's set.
const maxSetPorts = 64

// checkNative looks at what opens without a command.
func (p *parser) checkNative(d *rawDoor) {
	native := d.OpensNatively() || d.has("nft_set", "nft_set_6")
	if native && d.CmdTimeout < time.Second {
		p.fault(d.fault("cmd_timeout", fmt.Errorf("0: must be at least 1 second, since the kernel would keep the door open for ever")))
	}
	for _, a := range d.Actions {
		if doorKeys.find(a.Key).single && (d.OpenPrefix4 < 32 || d.OpenPrefix6 < 128) {
			p.fault(d.fault(a.Key, fmt.Errorf("holds single addresses: cannot be with open_prefix_4 or open_prefix_6")))
		}
	}
	sets := p.config.NftMode == NftSet
	noSet := d.NftSet == SetName{} && d.NftSet6 == SetName{}
	switch {
	case !sets && d.has("nft_set", "nft_set_6"):
		for _, key := range []string{"nft_set", "nft_set_6"} {
			if d.has(key) {
				p.fault(d.fault(key, fmt.Errorf("has no effect without nft_mode = set in [options]")))
			}
		}
	case !sets || !d.OpensPorts():
	case noSet && !d.has("nft_set", "nft_set_6"):
		p.fault(d.fault("open", fmt.Errorf("with nft_mode = set, nft_set must name the set, here or in [options]")))
	case d.NftSet6 == SetName{}:
		p.warn(d.fault("open", fmt.Errorf("opens nothing for IPv6: there is no nft_set_6")))
	}
	for key, network := range map[string]bool{"open_prefix_4": d.OpenPrefix4 < 32, "open_prefix_6": d.OpenPrefix6 < 128} {
		if sets && d.OpensPorts() && network {
			p.advise(d.fault(key, fmt.Errorf("with nft_mode = set the set gets the network's first address: the rule must look up the masked one, as ip saddr & 255.255.255.0 @set")))
		}
	}
	ports := len(d.OpenNamed)
	for _, o := range d.Open {
		ports += o.Len()
	}
	if sets && ports > maxSetPorts {
		p.fault(d.fault("open", fmt.Errorf("%d ports: must be at most %d with nft_mode = set", ports, maxSetPorts)))
	}
}

// checkSetOptions: a set that is never filled is not what was meant.
func (p *parser) checkSetOptions() {
	for _, key := range []string{"nft_set", "nft_set_6"} {
		if place, ok := p.options.find(key); ok && p.config.NftMode != NftSet {
			p.fault(&Fault{place, optionsName, key, fmt.Errorf("has no effect without nft_mode = set")})
		}
	}
}

// maxRescue bounds the rules that each packet passes which begins something.
const maxRescue = 64

// parseRescue reads addresses and networks that together are not everybody.
func parseRescue(text string) ([]netip.Prefix, error) {
	all, err := list(parsePrefix)(text)
	if err != nil {
		return nil, err
	}
	if len(all) > maxRescue {
		return nil, fmt.Errorf("%d addresses: must be at most %d", len(all), maxRescue)
	}
	for _, everybody := range []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")} {
		if covered(everybody, all) {
			return nil, fmt.Errorf("%v: lets everybody in: must be the few addresses that you can always come from", everybody)
		}
	}
	return all, nil
}

// covered reports whether every address of p is in one of the networks.
func covered(p netip.Prefix, all []netip.Prefix) bool {
	inside := slices.DeleteFunc(slices.Clone(all), func(n netip.Prefix) bool { return !n.Overlaps(p) })
	switch {
	case len(inside) == 0:
		return false
	case slices.ContainsFunc(inside, func(n netip.Prefix) bool { return n.Bits() <= p.Bits() }):
		return true
	}
	last := p.Addr().AsSlice()
	last[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	second, _ := netip.AddrFromSlice(last)
	return covered(netip.PrefixFrom(p.Addr(), p.Bits()+1), inside) && covered(netip.PrefixFrom(second, p.Bits()+1), inside)
}

// checkRescue: who relies on a way in must know that there is none.
func (p *parser) checkRescue() {
	place, given := p.options.find("rescue")
	if !given {
		return
	}
	fault := &Fault{Place: place, Section: optionsName, Key: "rescue"}
	switch opens := slices.ContainsFunc(p.doors, func(d *rawDoor) bool { return d.OpensPorts() }); {
	case p.config.NftMode != NftGuard:
		fault.Err = fmt.Errorf("has no effect with nft_mode = %s, which closes nothing: accept these addresses in the host's own rules", p.config.NftMode)
	case !opens:
		fault.Err = fmt.Errorf("has no effect: no door has open, and so nothing is closed")
	default:
		return
	}
	p.warn(fault)
}
