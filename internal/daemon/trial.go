package daemon

import (
	"errors"
	"fmt"
	"time"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/firewall"
	"knockd/internal/knock"
	"knockd/internal/nft"
	"knockd/internal/trial"
)

// onTrial is what is on trial, or was and has not been confirmed.
type onTrial struct {
	state *trial.State // nil: nothing is
	ended bool         // its end was seen

	// Of the reload that goes on, in the background:
	length    time.Duration // of the trial that it begins; 0: it begins none
	returning bool          // to what was in use before
	next      *trial.State  // the state with what it takes
}

// OnTrial is what a trial means for the guard; nil: nothing.
func OnTrial(s *trial.State) *nft.Trial {
	if s == nil || s.Returns() && s.Left() <= 0 {
		return nil
	}
	return &nft.Trial{Left: s.Left, Keep: s.Keep}
}

// running reports whether a trial goes on. One that a start has found and that
// another configuration follows is over by that.
func (t *onTrial) running() bool { return t.state != nil && !t.ended && t.state.Left() > 0 }

// text says in a few words what is on trial; "" if nothing is.
func (t *onTrial) text() string {
	switch {
	case t.running():
		return "on trial"
	case t.state == nil:
		return ""
	case t.state.Returns():
		return "what was on trial is not confirmed: what was in use before is in use"
	}
	return "what was on trial is not confirmed: it closes nothing"
}

// due returns when the loop must look whether the trial is over.
func (t *onTrial) due(now func() time.Time) (at time.Time, ok bool) {
	if t.state == nil || t.ended {
		return at, false
	}
	return now().Add(t.state.Left()), true
}

// sayTrial says what the trial that was found means, once a start.
func (d *Daemon) sayTrial() {
	s := d.trial.state
	switch {
	case s == nil:
	case s.Returns():
		d.trial.ended = true
		d.Log.Event(event.TrialOver{File: d.ConfigFile, Kept: d.Trials.KeptPath()})
	case s.Left() > 0:
		d.Log.Event(event.TrialBegun{File: d.ConfigFile, Left: s.Left(), Ports: d.portsOnTrial()})
	default:
		d.sayOver()
	}
}

// portsOnTrial are those that the guard closes while the trial lasts.
func (d *Daemon) portsOnTrial() (ports []knock.PortRange) {
	if fw := d.Firewall.Load(); fw != nil {
		ports = fw.OnTrial()
	}
	return ports
}

// sayOver says that the trial is over and what is open by that.
func (d *Daemon) sayOver() {
	d.trial.ended = true
	d.Log.Event(event.TrialOver{File: d.ConfigFile, Ports: d.notGuarded()})
}

// endTrial takes a configuration back whose trial is over: the kernel has opened
// its ports by then. What was in use before comes back, if there was something.
func (d *Daemon) endTrial() {
	s := d.trial.state
	if s == nil || d.trial.ended || s.Left() > 0 || d.reloading {
		return
	}
	d.trial.ended = true
	if s.Returns() {
		d.Log.Event(event.TrialOver{File: d.ConfigFile, Kept: d.Trials.KeptPath()})
		d.trial.returning = true
		d.reload()
		return
	}
	conf := d.conf
	d.reloading = true // the firewall is for one at a time
	d.background.Go(func() {
		err := d.ensure(conf, s)
		d.post(func() {
			if err != nil {
				d.Log.Event(event.TrialFailed{Err: err})
			}
			d.sayOver()
			d.Status(d.status())
			d.goOn()
		})
	})
}

// Why there is no trial.
var (
	errInUse    = errors.New("it is in use already, and nothing is to be tried: change it, or take it out of use before")
	errNoTrials = errors.New("there is no StateDir to note a trial in, and so none could be taken back")
	errBusy     = errors.New("the configuration is being read: try again")
)

// runningError says that a trial goes on.
type runningError struct {
	file string
	left time.Duration
}

func (e *runningError) Error() string {
	return fmt.Sprintf("%s is on trial for %v: knockctl confirm keeps it", e.file, e.left.Round(time.Second))
}

// read reads what a reload takes: the file, or, while that is on trial or was
// and is not confirmed, what it stands for.
func (t *onTrial) read(d *Daemon) (*config.Config, error) {
	if t.length > 0 && t.next != t.state { // noted when it was read before
		if err := t.forget(d); err != nil {
			return nil, err
		}
	}
	t.next = t.state
	if t.returning {
		return t.kept(d)
	}
	conf, err := d.Load()
	if err != nil || t.state == nil || t.length > 0 || conf.Files == nil {
		return conf, err
	}
	same := conf.Files.Fingerprint == t.state.Fingerprint
	switch {
	case t.running() && !same:
		return nil, &runningError{d.ConfigFile, t.state.Left()}
	case t.running():
	case !same: // that one never was on trial
		t.next = nil
	case t.state.Returns():
		return t.kept(d)
	}
	return conf, nil
}

// kept reads what was in use before.
func (t *onTrial) kept(d *Daemon) (*config.Config, error) {
	conf, err := d.LoadFrom(d.Trials.KeptPath())
	if err == nil && conf.Files.Fingerprint != t.state.Kept {
		err = fmt.Errorf("%s has changed", d.Trials.KeptPath())
	}
	return conf, err
}

// note puts on the disk that a configuration is on trial from now on, and keeps
// the one in use, before anything is closed.
func (t *onTrial) note(d *Daemon, conf *config.Config) error {
	same := conf.Files.Fingerprint == d.conf.Files.Fingerprint
	unconfirmed := t.state != nil && !t.state.Returns()
	switch {
	case d.Trials == nil:
		return errNoTrials
	case same && !unconfirmed:
		return fmt.Errorf("%s: %w", d.ConfigFile, errInUse)
	}
	state := trial.New(conf.Files.Fingerprint, t.length)
	var err error
	if state.Keep, err = nft.Lasting(firewall.Options(conf, nil)); err != nil {
		return err
	}
	if !unconfirmed {
		if err := d.Trials.Keep(d.conf.Files); err != nil {
			return fmt.Errorf("keep the configuration in use: %w", err)
		}
		state.Kept = d.conf.Files.Fingerprint
	}
	if err := d.Trials.Write(state); err != nil {
		return fmt.Errorf("note the trial: %w", err)
	}
	t.next = state
	return nil
}

// forget takes back what was noted of a trial that does not begin.
func (t *onTrial) forget(d *Daemon) (err error) {
	switch {
	case t.next == t.state:
		return nil
	case t.state == nil:
		err = d.Trials.Remove()
	default:
		err = d.Trials.Write(t.state)
	}
	t.next = t.state
	return err
}

// taken takes in what a reload has taken.
func (d *Daemon) taken() {
	t := &d.trial
	begun := t.length > 0
	if t.next != t.state {
		t.state, t.ended = t.next, t.next == nil
	}
	t.length, t.returning = 0, false
	if begun {
		d.Log.Event(event.TrialBegun{File: d.ConfigFile, Left: t.state.Left(), Ports: d.portsOnTrial()})
	}
}

// refused takes in that a reload has taken nothing. What was noted of a trial
// that could not begin in the end may stay: that configuration is not confirmed.
func (d *Daemon) refused() {
	t := &d.trial
	t.next, t.length, t.returning = t.state, 0, false
}

// try begins a trial with what the file says. It is for the loop; outcome gets
// what became of it.
func (d *Daemon) try(length time.Duration) error {
	switch {
	case d.trial.running():
		return &runningError{d.ConfigFile, d.trial.state.Left()}
	case d.reloading:
		return errBusy
	}
	d.trial.length, d.trial.next = length, d.trial.state
	return nil
}

// confirm has what is on trial stay, outside of the loop, and says what became
// of it.
func (d *Daemon) confirm(done func(error)) {
	switch {
	case d.trial.state == nil:
		done(nft.ErrNoTrial)
	case !d.trial.running():
		done(nft.ErrTrialOver)
	case d.reloading:
		done(errBusy)
	default:
		d.reloading = true
		d.background.Go(func() {
			err := d.keepForGood()
			d.post(func() {
				if err == nil {
					d.trial.state, d.trial.ended = nil, true
					d.Log.Event(event.TrialConfirmed{File: d.ConfigFile})
					d.Status(d.status())
				}
				d.goOn()
				done(err)
			})
		})
	}
}

func (d *Daemon) keepForGood() error {
	if fw := d.Firewall.Load(); fw != nil {
		return fw.Confirm(d.Trials.Remove)
	}
	return d.Trials.Remove()
}
