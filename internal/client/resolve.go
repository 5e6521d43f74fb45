package client

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Family says which kind of address is wanted.
type Family int

// The families. Any takes the address that the system prefers.
// Both is one address of each.
const (
	Any Family = iota
	IPv4
	IPv6
	Both
)

// String returns the name of a family's addresses.
func (f Family) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return "IP"
}

// has reports whether an address belongs to the family.
func (f Family) has(addr netip.Addr) bool {
	return f == Any || f == Both || (f == IPv4) == addr.Is4()
}

// FamilyError says that the host exists, but has no address of the family asked
// for.
type FamilyError struct {
	Host   string
	Family Family
}

// Error says so.
func (e *FamilyError) Error() string {
	if _, err := netip.ParseAddr(e.Host); err == nil {
		return fmt.Sprintf("%s is not an %s address", e.Host, e.Family)
	}
	return fmt.Sprintf("%s has no %s address", e.Host, e.Family)
}

// Resolve finds the addresses to knock at: one, or with Both one of each
// family that the host has. Other is the first address of the family that is
// left out, if the host's name stands for both. The name is looked up once, so
// that a whole sequence goes to one host even where a name stands for several.
// An unknown name is a *net.DNSError, what is no name a *HostError.
func Resolve(ctx context.Context, host string, family Family) (hosts []netip.Addr, other netip.Addr, err error) {
	all, err := lookup(ctx, host, family)
	if err != nil {
		return nil, other, err
	}
	first := firstOfEach(all)
	if family == Both {
		return first, other, nil
	}
	for _, addr := range all {
		if family.has(addr) {
			if i := slices.IndexFunc(first, func(a netip.Addr) bool { return a.Is4() != addr.Is4() }); i >= 0 {
				other = first[i]
			}
			return []netip.Addr{addr}, other, nil
		}
	}
	return nil, other, &FamilyError{host, family}
}

// lookup returns all addresses of a host, the preferred first. Where the system
// has none of the family, Go's resolver is asked: the system names no address
// of a family that this machine has none of itself.
func lookup(ctx context.Context, host string, family Family) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	if err := CheckHost(host); err != nil {
		return nil, err
	}
	system := askSystem(ctx, host)
	if slices.ContainsFunc(system, family.has) {
		return system, nil
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	switch {
	case err != nil && len(system) > 0:
		return system, nil
	case err != nil:
		return nil, err
	}
	for i := range all {
		all[i] = all[i].Unmap()
	}
	return all, nil
}

// firstOfEach returns the first IPv4 and the first IPv6 address.
func firstOfEach(all []netip.Addr) []netip.Addr {
	var found []netip.Addr
	for _, family := range []Family{IPv4, IPv6} {
		if i := slices.IndexFunc(all, family.has); i >= 0 {
			found = append(found, all[i])
		}
	}
	return found
}

// dialName connects over one family to the first of a name's addresses that
// takes the connection.
func dialName(ctx context.Context, network, address string, family Family) (conn net.Conn, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	all, err := lookup(ctx, host, family)
	if err != nil {
		return nil, err
	}
	err = &FamilyError{host, family}
	for _, addr := range all {
		if !family.has(addr) {
			continue
		}
		if conn, err = new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(addr.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}
