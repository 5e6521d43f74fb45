package knock

import (
	"net/netip"
	"slices"
)

// networks is a set of addresses given by prefixes: in ascending order, none
// inside another. A look-up takes time by the logarithm of their number.
type networks []netip.Prefix

func newNetworks(prefixes []netip.Prefix) networks {
	sorted := slices.Clone(prefixes)
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	var out networks
	for _, p := range sorted {
		if n := len(out); n == 0 || !out[n-1].Contains(p.Addr()) {
			out = append(out, p)
		}
	}
	return out
}

// has reports whether one of the prefixes contains an address.
func (n networks) has(a netip.Addr) bool {
	low, high := 0, len(n) // the last prefix that does not begin behind a
	for low < high {
		if mid := (low + high) / 2; n[mid].Addr().Compare(a) <= 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low > 0 && n[low-1].Contains(a)
}

// senders says whose packets exist for a door.
type senders struct{ allow, deny networks }

// newSenders returns nil if all do.
func newSenders(d *Door) *senders {
	if len(d.Allow) == 0 && len(d.Deny) == 0 {
		return nil
	}
	return &senders{newNetworks(d.Allow), newNetworks(d.Deny)}
}

func (s *senders) has(a netip.Addr) bool {
	return s == nil || (len(s.allow) == 0 || s.allow.has(a)) && !s.deny.has(a)
}
