package nft

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// maxRange is how many ports a door may open in a set that is keyed by port:
// each of them is an element.
const maxRange = 64

// ensureSets is Ensure for mode set: it looks at the host's sets, adopts our
// elements in them and takes out those of doors that are no more.
func (f *Firewall) ensureSets(specs []*spec) (doubts []event.Event, err error) {
	var faults []error
	for _, s := range specs {
		for _, t := range s.targets() {
			if err := f.checkSet(s, t); err != nil {
				faults = append(faults, fmt.Errorf("door %s: %w", s.Name, err))
			}
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	for _, s := range specs {
		doubts = append(doubts, s.lacking()...)
	}
	if err := f.changeSets(specs); err != nil {
		return nil, err
	}
	return append(doubts, f.unusedSets(specs)...), nil
}

// changeSets goes over to other doors.
func (f *Firewall) changeSets(specs []*spec) error {
	doors := map[kernelName]*spec{}
	for _, s := range specs {
		doors[s.id] = s
	}
	have, err := f.present(doors)
	if err != nil {
		return err
	}
	if err := f.sweepSets(f.doors, doors); err != nil {
		// The old doors stay; what is left of their openings is in the kernel.
		_, e := f.closedByOthers()
		return errors.Join(err, e)
	}
	f.doors, f.record = doors, newRecord()
	for e, p := range have {
		id, ours := idFromComment(p.comment)
		if s := doors[id]; ours && s != nil {
			if k, ok := s.openingOf(p.target, nftables.SetElement{Key: []byte(e.key)}); ok {
				f.put(s, k, p.until)
			}
		}
	}
	return nil
}

// lacking says what a door cannot do with the sets it has.
func (s *spec) lacking() []event.Event {
	switch {
	case s.v4 == nil:
		return []event.Event{event.SetLacking{Door: s.DoorID, Version: "IPv4", Key: "nft_set"}}
	case s.v6 == nil:
		return []event.Event{event.SetLacking{Door: s.DoorID, Version: "IPv6", Key: "nft_set_6"}}
	}
	return nil
}

// checkSet finds the set that a target names and says what is wrong with it.
func (f *Firewall) checkSet(s *spec, t *target) error {
	name := knock.SetName{Table: t.table, Name: t.name}
	table, err := findTable(f.k, t.table)
	if err != nil {
		return err
	}
	if table == nil {
		return fmt.Errorf("set %s: there is no table %s; add to the host's rules: table %s { %s }", name, t.table, t.table, t.declaration(s))
	}
	if table.Owner != 0 && table.Owner != f.k.port() {
		return fmt.Errorf("set %s: table %s belongs to a running program (netlink port %d), which alone can change it; use nft_mode = guard or mark", name, t.table, table.Owner)
	}
	sets, err := f.k.sets(table)
	if err != nil {
		return fmt.Errorf("set %s: list the sets of the table: %w", name, reason(err))
	}
	i := slices.IndexFunc(sets, func(have *nftables.Set) bool { return have.Name == t.name })
	if i < 0 {
		return fmt.Errorf("set %s: there is no such set; add to table %s: %s", name, t.table, t.declaration(s))
	}
	return t.fit(s, name, sets[i])
}

// declaration returns what to add to the host's rules.
func (t *target) declaration(s *spec) string {
	flags := "flags timeout; "
	if s.Timeout == 0 {
		flags = ""
	}
	return fmt.Sprintf("set %s { type %s; %s}", t.name, t.keyType().Name, flags)
}

// fit takes over what a set is like, or says why it will not do.
func (t *target) fit(s *spec, name knock.SetName, have *nftables.Set) error {
	var ok bool
	for _, t.kind = range []keyKind{keyAddr, keyAddrPort, keyAddrProtoPort} {
		if ok = have.KeyType.Name == t.keyType().Name; ok {
			break
		}
	}
	switch {
	case have.IsMap:
		return fmt.Errorf("set %s: it is a map; add a set: %s", name, (&target{name: t.name + "_knockd", v6: t.v6}).declaration(s))
	case !ok:
		return t.wrongKey(name, have.KeyType.Name)
	case have.Constant:
		return fmt.Errorf("set %s: it is constant; remove the flag constant", name)
	case have.Interval:
		return fmt.Errorf("set %s: the kernel refuses timed intervals that overlap; remove the flag interval", name)
	case !have.HasTimeout && s.Timeout != 0:
		return fmt.Errorf("set %s: elements cannot have a time limit; add to it: flags timeout;", name)
	case have.Timeout != 0 && s.Timeout == 0:
		return fmt.Errorf("set %s: its default timeout of %v would close the door, which has no cmd_timeout; remove timeout from the set or give the door a cmd_timeout", name, have.Timeout)
	}
	t.timeout, t.untimed = have.Timeout, !have.HasTimeout
	return t.checkPorts(s, name)
}

func (t *target) wrongKey(name knock.SetName, have string) error {
	addr := "ipv4_addr"
	if t.v6 {
		addr = "ipv6_addr"
	}
	return fmt.Errorf("set %s: its type is %s; it must be %s, %s . inet_service or %s . inet_proto . inet_service",
		name, have, addr, addr, addr)
}

// checkPorts returns why the set's key does not suit the door's ports, or nil.
func (t *target) checkPorts(s *spec, name knock.SetName) error {
	if t.kind == keyAddr || s.OnePort {
		return nil
	}
	n := 0
	for _, r := range s.Ports {
		n += int(r.Last) - int(r.First) + 1
	}
	if n > maxRange {
		return fmt.Errorf("set %s: open names %d ports, and each becomes an element; at most %d, or use a set of type %s",
			name, n, maxRange, strings.SplitN(t.keyType().Name, " ", 2)[0])
	}
	return nil
}

// isOurs reports whether an element may be touched: it is not there, or carries
// our comment.
func (f *Firewall) isOurs(t *target, e setKey) (bool, error) {
	found, err := f.k.find(t.nf(), nftables.SetElement{Key: []byte(e.key)})
	if err != nil {
		return false, fmt.Errorf("look into set %s: %w", e.set, err)
	}
	for _, have := range found {
		if _, ours := idFromComment(have.Comment); !ours {
			return false, nil
		}
	}
	return true, nil
}

// notOthers looks which of the elements that requests need are somebody
// else's: those have the door open already, and stay as they are. In our own
// table all are free. The generation is to be given with the batch, so that
// nobody can put an element there meanwhile.
func (f *Firewall) notOthers(all []*request) (generation uint32, free func(setKey) bool, err error) {
	if f.opt.Mode.HasTable() {
		return 0, func(setKey) bool { return true }, nil
	}
	if generation, err = f.k.generation(); err != nil {
		return 0, nil, fmt.Errorf("read the rules' generation: %w", err)
	}
	taken := map[setKey]bool{}
	for _, r := range all {
		for _, e := range r.needs {
			ours, err := f.isOurs(r.target, e)
			if err != nil {
				return 0, nil, err
			}
			taken[e] = !ours
		}
	}
	return generation, func(e setKey) bool { return !taken[e] }, nil
}

// sweepSets takes out our elements in the sets of old and new doors that
// belong to no door or to none any more.
func (f *Firewall) sweepSets(old, doors map[kernelName]*spec) error {
	keeps := func(t *target, id kernelName) bool {
		s := doors[id]
		return s != nil && slices.ContainsFunc(s.targets(), func(u *target) bool { return u.table == t.table && u.name == t.name })
	}
	seen := map[knock.SetName]bool{}
	for _, all := range []map[kernelName]*spec{old, doors} {
		for _, s := range all {
			for _, t := range s.targets() {
				name := knock.SetName{Table: t.table, Name: t.name}
				if seen[name] {
					continue
				}
				seen[name] = true
				if err := f.sweepSet(t, func(id kernelName) bool { return !keeps(t, id) }); err != nil {
					return fmt.Errorf("clean set %s: %w", name, reason(err))
				}
			}
		}
	}
	return nil
}

// sweepSet deletes those of our elements in a set whose door is to go.
func (f *Firewall) sweepSet(t *target, goes func(kernelName) bool) error {
	elements, err := listSet(f.k, t.nf())
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var out []nftables.SetElement
	for _, e := range elements {
		if id, ours := idFromComment(e.Comment); ours && goes(id) {
			out = append(out, nftables.SetElement{Key: e.Key})
		}
	}
	return f.deleteElements(t.nf(), out)
}

// deleteElements deletes elements that may end at any moment: the add before
// the delete sees to it that they are there.
func (f *Firewall) deleteElements(set *nftables.Set, out []nftables.SetElement) error {
	for chunk := range slices.Chunk(out, maxBatch) {
		again := make([]nftables.SetElement, len(chunk))
		for i, e := range chunk {
			again[i] = nftables.SetElement{Key: e.Key, Timeout: time.Second}
		}
		add := func(c *nftables.Conn) error { return c.SetAddElements(set, again) }
		del := func(c *nftables.Conn) error { return c.SetDeleteElements(set, chunk) }
		if err := f.k.apply(0, batch{add, del}.run); err != nil {
			return err
		}
	}
	return nil
}
