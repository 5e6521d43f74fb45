package nft

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"knockd/internal/event"
	"knockd/internal/knock"
)

// Cleanup takes out of the kernel all that this package ever put there, by
// whatever configuration: our tables, and our elements in sets of others. It
// returns what was done. It needs no configuration; while a
// daemon lives, the kernel refuses to let go of its table.
func Cleanup(netns int) (done []event.Event, err error) {
	return everywhere(netns, dial, func(c *cleaner, t *nftables.Table, sets []*nftables.Set) error {
		return c.drop(t, slices.ContainsFunc(sets, func(s *nftables.Set) bool { return s.Name == mapName(NAT) }))
	})
}

// CloseEverything ends all openings that this package ever made, and leaves
// the guard: its ports stay closed. It returns what was done.
func CloseEverything(netns int) (done []event.Event, err error) {
	return everywhere(netns, dial, func(c *cleaner, t *nftables.Table, sets []*nftables.Set) error {
		return c.empty(t, sets)
	})
}

// Leftovers says which tables of ours are still there although this
// configuration does not use them and no program owns them: a guard that an
// earlier one has left keeps its ports closed to all. They may be another
// daemon's that is down, so nothing is done about them.
func Leftovers(netns int, used ...knock.Table) (found []event.Event, err error) {
	k, err := dial(netns)
	if err != nil {
		return nil, err
	}
	defer k.close()
	tables, err := listTables(k)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if t.Owner != 0 || t.Family != nftables.TableFamilyINet || slices.Contains(used, TableOf(t)) {
			continue
		}
		sets, err := k.sets(t)
		if err != nil {
			return found, fmt.Errorf("list the sets of table %s: %w", TableOf(t), reason(err))
		}
		if isOurTable(sets) {
			found = append(found, leftover(k, t, sets))
		}
	}
	return found, nil
}

// leftover says what a table of ours still does.
func leftover(k kernel, t *nftables.Table, sets []*nftables.Set) event.Event {
	found := event.TableFound{Table: TableOf(t).String()}
	for _, s := range sets {
		if s.Name != mapName(Guard) || !s.IsMap {
			continue
		}
		elements, err := k.elements(s)
		if err != nil {
			continue
		}
		state := tableState{elements: map[string][]nftables.SetElement{s.Name: elements}}
		found.Guard, found.Closes = true, nil
		for r := range state.routes(s.Name) {
			found.Closes = append(found.Closes, r.PortRange)
		}
		slices.SortFunc(found.Closes, func(a, b knock.PortRange) int { return cmp.Compare(a.String(), b.String()) })
	}
	return found
}

// cleaner goes through all tables of the kernel.
type cleaner struct {
	f    *Firewall // its connection alone is used
	done []event.Event
	errs []error
}

// everywhere does one thing to our own tables and takes our elements out of
// all others.
func everywhere(netns int, dial func(int) (kernel, error), own func(*cleaner, *nftables.Table, []*nftables.Set) error) ([]event.Event, error) {
	k, err := dial(netns)
	if err != nil {
		return nil, err
	}
	defer k.close()
	tables, err := listTables(k)
	if err != nil {
		return nil, err
	}
	c := &cleaner{f: &Firewall{k: k}}
	for _, t := range tables {
		sets, err := k.sets(t)
		if err != nil {
			c.errs = append(c.errs, fmt.Errorf("list the sets of table %s: %w", TableOf(t), reason(err)))
			continue
		}
		if isOurTable(sets) {
			err = own(c, t, sets)
		} else {
			err = c.takeFromHostSets(t, sets)
		}
		c.errs = append(c.errs, err)
	}
	return c.done, errors.Join(c.errs...)
}

// TableOf returns the name of a table of the kernel.
func TableOf(t *nftables.Table) knock.Table {
	return knock.Table{Family: familyName(t.Family), Name: t.Name}
}

func isOurTable(sets []*nftables.Set) bool {
	for _, s := range sets {
		if isPortsMap(s) {
			return true
		}
	}
	return false
}

// apply changes a table of ours. A daemon that has just ended may own it for
// a moment longer, while a child of it is between fork and exec.
func (c *cleaner) apply(change func(*nftables.Conn)) (err error) {
	for range 20 {
		err = c.f.k.apply(0, func(nf *nftables.Conn) error { change(nf); return nil })
		if !errors.Is(err, unix.EPERM) {
			return err
		}
		time.Sleep(25 * time.Millisecond)
	}
	return err
}

// drop deletes a table of ours.
func (c *cleaner) drop(t *nftables.Table, nat bool) error {
	err := c.apply(func(nf *nftables.Conn) { nf.DelTable(t) })
	if err != nil {
		return fmt.Errorf("delete table %s: %w", TableOf(t), reason(err))
	}
	c.done = append(c.done, event.TableDeleted{Table: TableOf(t).String(), NAT: nat})
	return nil
}

// empty takes all openings out of a table of ours.
func (c *cleaner) empty(t *nftables.Table, sets []*nftables.Set) error {
	for _, s := range sets {
		if !s.HasTimeout || s.Anonymous || isPortsMap(s) {
			continue
		}
		elements, err := listSet(c.f.k, s)
		if err != nil {
			return fmt.Errorf("list set %s %s: %w", TableOf(t), s.Name, reason(err))
		}
		if len(elements) == 0 {
			continue
		}
		if err := c.apply(func(nf *nftables.Conn) { nf.FlushSet(s) }); err != nil {
			return fmt.Errorf("empty set %s %s: %w", TableOf(t), s.Name, reason(err))
		}
		c.done = append(c.done, event.SetCleared{Set: knock.SetName{Table: TableOf(t), Name: s.Name}.String(), Elements: len(elements)})
	}
	return nil
}

// takeFromHostSets takes our elements out of the sets of somebody else's table.
func (c *cleaner) takeFromHostSets(t *nftables.Table, sets []*nftables.Set) error {
	for _, s := range sets {
		if s.IsMap || s.Anonymous || s.Interval {
			continue
		}
		elements, err := listSet(c.f.k, s)
		if err != nil {
			return fmt.Errorf("list set %s %s: %w", TableOf(t), s.Name, reason(err))
		}
		var out []nftables.SetElement
		for _, e := range elements {
			if _, ours := idFromComment(e.Comment); ours {
				out = append(out, nftables.SetElement{Key: e.Key})
			}
		}
		if err := c.f.deleteElements(s, out); err != nil {
			return fmt.Errorf("take elements out of set %s %s: %w", TableOf(t), s.Name, reason(err))
		}
		if len(out) > 0 {
			c.done = append(c.done, event.SetCleared{Set: knock.SetName{Table: TableOf(t), Name: s.Name}.String(), Elements: len(out), Shared: true})
		}
	}
	return nil
}
