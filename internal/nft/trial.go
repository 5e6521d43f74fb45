package nft

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"

	"knockd/internal/knock"
)

// Trial is a guard that undoes itself: what it closes beyond some ports, the
// kernel opens again when the time is over, though this program be killed.
type Trial struct {
	// Left returns how much of the time is left; at 0 and below it is over.
	Left func() time.Duration
	// Keep are the ports that are closed whatever becomes of the trial, whether
	// a door opens them or not.
	Keep []knock.PortRange
}

// Why a trial cannot be confirmed.
var (
	ErrNoTrial   = errors.New("nothing is on trial")
	ErrTrialOver = errors.New("the trial is over")
)

// trialName names the map of ports that are closed for a time.
const trialName = "guard_trial"

// trialMap: map guard_trial { type inet_proto . inet_service : verdict;
// flags interval,timeout; comment "knockd:trial"; }
//
// A set that is there cannot be given the flag timeout, so that it is a map
// of its own.
func trialMap(o *Options) *nftables.Set {
	m := portsMap(o)
	m.Name, m.Comment, m.HasTimeout = trialName, marker+"trial", true
	return m
}

// SetTrial says what is on trial, from the next Ensure on; nil: nothing. In
// modes that close nothing it has no effect. It returns what was before.
func (f *Firewall) SetTrial(t *Trial) (was *Trial) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was, f.trial = f.trial, t
	return was
}

// OnTrial returns the ports that the guard closes only while the trial lasts. It
// does not wait for the kernel.
func (f *Firewall) OnTrial() []knock.PortRange {
	if c := f.coverage.Load(); c != nil {
		return knock.JoinPorts(c.timed)
	}
	return nil
}

// Lasting returns the ports that a guard's table closes for good, whatever doors
// it was made for.
func Lasting(o Options) ([]knock.PortRange, error) {
	o = o.WithDefaults()
	if !o.Mode.closes {
		return nil, nil
	}
	k, err := dial(o.NetNS)
	if err != nil {
		return nil, err
	}
	defer k.close()
	was, err := readTable(k, o.Table, false)
	if err != nil {
		return nil, err
	}
	return knock.JoinPorts(was.closes()), nil
}

// cover is which ports get chains, and how.
type cover struct {
	lasting, timed []segment
	remain         time.Duration // of the time of those that are timed
	confirmed      bool          // these are to stay closed too
}

// cover divides the ports of all doors.
func (f *Firewall) cover(all []segment) cover {
	t := f.trial
	if t == nil || !f.opt.Mode.closes {
		return cover{lasting: all}
	}
	c := cover{lasting: partsIn(all, t.Keep), confirmed: f.confirmed}
	var others []segment // that no door opens
	for _, r := range knock.JoinPorts(t.Keep) {
		others = append(others, segment{PortRange: r})
	}
	c.lasting = append(c.lasting, partsOutside(others, rangesOf(all))...)
	if c.remain = t.Left(); c.remain > 0 || c.confirmed {
		c.timed = partsOutside(all, t.Keep)
	}
	return c
}

// timeSlack is how far an element's end may be from the trial's: it is added
// a moment later, and counts in ticks of the kernel's clock.
const timeSlack = 2 * time.Second

// sameTime reports whether an element of a map of ports ends when it should.
func sameTime(e nftables.SetElement, remain time.Duration) bool {
	if remain == 0 {
		return e.Timeout == 0 && e.Expires == 0
	}
	return e.Timeout != 0 && (e.Expires-remain).Abs() <= timeSlack
}

// Confirm has what is on trial stay. It is in the kernel without an end, and was
// found there, before record is called, which makes it known beyond this
// program's end. If either fails the trial runs on.
//
// An element that has a time cannot lose it for sure: kernels before 6.12 take
// a plain add and change nothing, and what ends meanwhile makes a delete fail. So
// the ports are added to the map whose elements have no time, and both lead to
// the same chains until the one of the trial goes.
func (f *Firewall) Confirm(record func() error) error {
	err := f.lastFromNowOn()
	if err == nil {
		err = record()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.confirmed = false
	if err == nil {
		f.trial = nil
	}
	if f.k == nil || f.model == nil {
		return err
	}
	_, undone := f.repair(false)
	if err != nil {
		return errors.Join(err, undone)
	}
	return nil // what is left of the trial's map ends by itself
}

// lastFromNowOn adds what is on trial to what is closed for good, and looks
// whether it is there.
func (f *Firewall) lastFromNowOn() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.k == nil:
		return errClosed
	case f.trial == nil:
		return ErrNoTrial
	case f.trial.Left() <= 0:
		return ErrTrialOver
	case f.model == nil || !f.opt.Mode.closes:
		return nil
	}
	f.confirmed = true
	if _, err := f.repair(false); err != nil {
		return err
	}
	was, err := readTable(f.k, f.opt.Table, true)
	if err != nil {
		return err
	}
	have := was.routes(mapName(Guard))
	for _, r := range f.model.routes {
		if e, ok := have[r]; !ok || !sameTime(e, 0) {
			return fmt.Errorf("read back table %s: %v is not closed for good", f.opt.Table, r.PortRange)
		}
	}
	if missing := partsOutside(segments(f.model.doors), rangesOf(f.model.segments)); len(missing) > 0 {
		return fmt.Errorf("%s: not closed yet: nothing is listened on", knock.PortNames(rangesOf(missing), ", "))
	}
	return nil
}
