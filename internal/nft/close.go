package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"

	"knockd/internal/knock"
)

// ErrNoDoor is the cause when a door is not, or no longer, native: then it has
// no openings.
var ErrNoDoor = errors.New("there is no such native door")

// CloseFor closes a door for an address: all its openings that cover the
// address. It returns those it has closed; none is no error. Established
// connections go on. After an error the openings stand as they were, and end
// in their time.
func (f *Firewall) CloseFor(door knock.DoorID, addr netip.Addr) ([]Element, error) {
	return f.CloseOpening(Element{Door: door, Addr: addr})
}

// CloseOpening is CloseFor for an opening: if it names a port, of a door with
// OnePort, the openings of other ports stay; in mode NAT also those that lead
// elsewhere.
func (f *Firewall) CloseOpening(o Element) ([]Element, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.k == nil {
		return nil, errClosed
	}
	addr := o.Addr.Unmap().WithZone("")
	s := f.doors[newKernelName(o.Door)]
	if s == nil {
		return nil, fmt.Errorf("close door %s for %s: %w", o.Door.Name, addr, ErrNoDoor)
	}
	keys := f.openingsOf(s, addr)
	if o.Port != 0 {
		one := s.keyOf(addr, o)
		keys = slices.DeleteFunc(keys, func(k openingKey) bool { return k != one })
	}
	closed, err := f.closeOpenings(keys)
	if err != nil {
		return nil, fmt.Errorf("close door %s for %s: %w", o.Door.Name, addr, reason(err))
	}
	return closed, nil
}

// CloseAll closes all openings. A guard keeps its ports closed.
func (f *Firewall) CloseAll() ([]Element, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.k == nil {
		return nil, errClosed
	}
	var all []Element
	var errs []error
	keys := make([]openingKey, 0, len(f.record.until))
	for k := range f.record.until {
		keys = append(keys, k)
	}
	for chunk := range slices.Chunk(keys, maxBatch) {
		closed, err := f.closeOpenings(chunk)
		all = append(all, closed...)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return all, fmt.Errorf("close all native doors: %w", reason(err))
	}
	return all, nil
}

// openingsOf returns the openings of a door that cover an address.
func (f *Firewall) openingsOf(s *spec, addr netip.Addr) []openingKey {
	if !s.OnePort {
		k := s.keyOf(addr, Element{})
		if _, ok := f.record.until[k]; ok {
			return []openingKey{k}
		}
		return nil
	}
	var keys []openingKey
	for k := range f.record.until {
		if k.id == s.id && k.prefix.Contains(addr) {
			keys = append(keys, k)
		}
	}
	return keys
}

// closeOpenings takes openings out of the kernel, then out of the record.
func (f *Firewall) closeOpenings(keys []openingKey) ([]Element, error) {
	now := f.now()
	var b batch
	var closed []Element
	gone := map[setKey]bool{}
	for _, k := range keys {
		s := f.doors[k.id]
		t, needs := s.elements(k)
		for _, e := range needs {
			gone[e] = true
		}
		if end := f.record.until[k]; end.After(now) {
			closed = append(closed, s.open(k, end, now))
		}
		steps, err := f.removal(t, k, needs, keys, now)
		if err != nil {
			return nil, err
		}
		b = append(b, steps...)
	}
	if err := f.try(0, b); err != nil {
		return nil, err
	}
	for _, k := range keys {
		_, needs := f.doors[k.id].elements(k)
		f.record.drop(k, needs)
	}
	return closed, nil
}

// removal returns the steps that end one opening. An element that another
// opening needs is cut down to that one's time. The add before a delete is
// there because the kernel may have been faster, and then a delete fails.
func (f *Firewall) removal(t *target, k openingKey, needs []setKey, closing []openingKey, now time.Time) (batch, error) {
	var remove, shorten []nftables.SetElement
	for _, e := range needs {
		if !f.opt.Mode.HasTable() {
			ours, err := f.isOurs(t, e)
			if err != nil {
				return nil, err
			}
			if !ours {
				continue
			}
		}
		other, end := f.record.holder(e, closing...)
		if end.After(now) {
			shorten = append(shorten, f.marked(other, e, left(end, now)))
			continue
		}
		remove = append(remove, f.marked(k, e, time.Second))
	}
	var b batch
	if len(remove) > 0 {
		set := t.nf()
		b = append(b, func(c *nftables.Conn) error { return c.SetAddElements(set, remove) },
			func(c *nftables.Conn) error { return c.SetDeleteElements(set, bare(remove)) })
	}
	if len(shorten) > 0 {
		b = append(b, refresh(t.nf(), shorten)...)
	}
	return b, nil
}
