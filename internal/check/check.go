package check

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"knockd/internal/config"
	"knockd/internal/engine"
	"knockd/internal/event"
	"knockd/internal/firewall"
	"knockd/internal/openings"
)

// Setup is a daemon as it would start now.
type Setup struct {
	Conf       *config.Config
	ConfigFile string   // absolute: names the files in the StateDir
	Interfaces []string // that the command line gives; nil: none
	Actions    map[string]openings.Action

	// AsRoot says that the daemon is root, whoever asks: what only root may look
	// at is no fault, but not looked at.
	AsRoot bool
}

// Report is what there is to say about a Setup.
type Report struct {
	Findings []Finding
	// Nothing says in a few words that there is nothing to listen on; "" if there
	// is something, or nobody is locked out by it.
	Nothing string
}

func (r *Report) add(findings ...Finding) { r.Findings = append(r.Findings, findings...) }

func (r *Report) warn(texts ...string) {
	for _, text := range texts {
		r.add(Finding{Warning, text})
	}
}

func (r *Report) advise(texts ...string) {
	for _, text := range texts {
		r.add(Finding{Advice, text})
	}
}

func (r *Report) events(events []event.Event) {
	for _, e := range events {
		if not, ok := e.(event.NotExamined); ok {
			r.add(Finding{Unseen, fmt.Sprintf("%s: %v", not.What, not.Err)})
		} else {
			r.warn(e.Text())
		}
	}
}

// Sort puts what matters more before what matters less.
func (r *Report) Sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(a.Level, b.Level) })
}

// Count returns how many findings there are of a level.
func (r *Report) Count(level Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// Daemon says what the daemon would meet, and what would be safer about its
// configuration: all but the warnings that the configuration itself has. The
// error is why it would not start.
func (s Setup) Daemon() (*Report, error) {
	l := &look{Setup: s, report: &Report{}}
	return l.report, l.daemon()
}

// Host says what Daemon says, and then what a look at the whole host shows: the
// services and programs that there are, and the rules of its firewall.
func (s Setup) Host() (*Report, error) {
	l := &look{Setup: s, report: &Report{}}
	err := l.daemon()
	if err == nil {
		l.host()
	}
	return l.report, err
}

// look is one look at a Setup.
type look struct {
	Setup
	report   *Report
	doors    []*engine.Door
	commands []commands // of the doors
}

func (l *look) daemon() error {
	r := l.report
	state, err := l.checkState(r)
	if err != nil {
		return err
	}
	doors, doubts, err := engine.Prepare(l.Conf)
	if err = l.seen(r, err); err != nil {
		return err
	}
	if len(engine.SPADoors(doors)) > 0 && !state {
		return ErrNoStore
	}
	l.doors = doors
	r.events(doubts)
	l.checkHistory(r)
	if err := l.checkControl(r); err != nil {
		return err
	}
	r.events(Doubts(l.Conf, l.Actions))
	r.advise(l.Conf.Advice...)
	var unread []Finding
	l.commands, unread = readCommands(l.Conf)
	r.add(unread...)
	r.add(pairs(l.Conf, l.commands)...)
	r.advise(engine.KeyAdvice(doors)...)
	if rule := firewall.MarkRule(l.Conf); rule != "" {
		r.advise(rule)
	}
	l.interfaces(r)
	return nil
}

// ErrNoStore says that replayed packets could not be told from new ones.
var ErrNoStore = errors.New("doors with spa_key_file need a StateDir that can be written: it keeps what was used")

// Doubts says which doors cannot work on this host as it is.
func Doubts(conf *config.Config, actions map[string]openings.Action) (found []event.Event) {
	for _, d := range conf.Doors {
		for _, a := range d.Actions {
			if err := actions[a.Name].Check(a.Args); err != nil {
				found = append(found, event.Finding{Door: d.ID(), Finding: "door " + d.Name + ": " + err.Error()})
			}
		}
	}
	return append(found, firewall.Examine(conf)...)
}

// hidden reports whether an error says only that whoever asks is not root, as the
// daemon will be.
func (s Setup) hidden(err error) bool {
	return s.AsRoot && os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission)
}

// seen takes what only root could look at out of joined errors.
func (s Setup) seen(r *Report, err error) error {
	if err == nil {
		return nil
	}
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	return errors.Join(slices.DeleteFunc(slices.Clone(all), func(err error) bool {
		if s.hidden(err) {
			r.add(Finding{Unseen, err.Error()})
		}
		return s.hidden(err)
	})...)
}
