package nft

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// rollback is openings that were reported as failed, although the kernel may
// have them: the answer was lost. They are taken out as soon as it listens.
type rollback struct {
	pending []openingKey
	timer   *time.Timer
}

// noteDoubtful notes the openings of a batch that has failed in doubt.
func (f *Firewall) noteDoubtful(all []*request, err error) {
	var d *doubtful
	if !errors.As(err, &d) {
		return
	}
	for _, r := range all {
		if !r.started && !slices.Contains(f.rollback.pending, r.key) {
			f.rollback.pending = append(f.rollback.pending, r.key)
		}
	}
	f.scheduleRollback()
}

// scheduleRollback sees to it that they are taken out even if nobody knocks.
func (f *Firewall) scheduleRollback() {
	if len(f.rollback.pending) == 0 || f.rollback.timer != nil {
		return
	}
	f.rollback.timer = time.AfterFunc(f.retryAfter, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rollback.timer = nil
		if f.k != nil {
			f.rollBack()
		}
	})
}

// rollBack takes out of the kernel what should not be there.
func (f *Firewall) rollBack() {
	due := slices.DeleteFunc(f.rollback.pending, func(k openingKey) bool {
		_, open := f.record.until[k] // asked for again, and granted
		return open || f.doors[k.id] == nil
	})
	f.rollback.pending = nil
	for _, k := range due {
		if err := f.remove(k); err != nil {
			f.rollback.pending = append(f.rollback.pending, k)
		}
	}
	f.scheduleRollback()
}

func (f *Firewall) remove(k openingKey) error {
	s := f.doors[k.id]
	t, needs := s.elements(k)
	b, err := f.removal(t, k, needs, []openingKey{k}, f.now())
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
