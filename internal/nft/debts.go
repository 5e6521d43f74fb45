package nft

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// debts are openings that were reported as failed, although the kernel may
// have them: the answer was lost. They are taken out as soon as it listens.
type debts struct {
	due   []holdKey
	timer *time.Timer
}

// owe notes the openings of a batch that has failed in doubt.
func (f *Firewall) owe(all []*request, err error) {
	var d *doubtful
	if !errors.As(err, &d) {
		return
	}
	for _, r := range all {
		if !r.started && !slices.Contains(f.debts.due, r.key) {
			f.debts.due = append(f.debts.due, r.key)
		}
	}
	f.remind()
}

// remind sees to it that debts are paid even if nobody knocks.
func (f *Firewall) remind() {
	if len(f.debts.due) == 0 || f.debts.timer != nil {
		return
	}
	f.debts.timer = time.AfterFunc(f.payAgain, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.debts.timer = nil
		if f.k != nil {
			f.pay()
		}
	})
}

// pay takes out of the kernel what should not be there.
func (f *Firewall) pay() {
	due := slices.DeleteFunc(f.debts.due, func(k holdKey) bool {
		_, open := f.holds.until[k] // asked for again, and granted
		return open || f.doors[k.id] == nil
	})
	f.debts.due = nil
	for _, k := range due {
		if err := f.remove(k); err != nil {
			f.debts.due = append(f.debts.due, k)
		}
	}
	f.remind()
}

func (f *Firewall) remove(k holdKey) error {
	s := f.doors[k.id]
	t, needs := s.elements(k)
	b, err := f.removal(t, k, needs, []holdKey{k}, f.now())
	if err != nil {
		return err
	}
	if err := f.k.apply(0, b.run); err != nil {
		if !refused(err) {
			f.reconnect()
		}
		return fmt.Errorf("close door %s for %s: %w", s.Name, k.prefix, reason(err))
	}
	return nil
}
