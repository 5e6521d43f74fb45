package client

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Family says which kind of address is wanted.
type Family int

// The families. Any takes the address that the system prefers (RFC 6724).
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

// has says whether an address belongs to the family.
func (f Family) has(addr netip.Addr) bool {
	return f == Any || f == Both || (f == IPv4) == addr.Is4()
}

// FamilyError: the host exists, but has no address of the family asked for.
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
// family that the host has. The name is looked up once, so that a whole
// sequence goes to one host even where a name stands for several. An unknown
// name is a *net.DNSError.
func Resolve(ctx context.Context, host string, family Family) ([]netip.Addr, error) {
	all, err := lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	if family == Both {
		return firstOfEach(all), nil
	}
	for _, addr := range all {
		if family.has(addr) {
			return []netip.Addr{addr}, nil
		}
	}
	return nil, &FamilyError{host, family}
}

// lookup returns all addresses of a host, the preferred first.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
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
		for _, addr := range all {
			if family.has(addr) {
				found = append(found, addr)
				break
			}
		}
	}
	return found
}
