package check

import (
	"errors"
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
		level := Warning
		if _, ok := e.(event.NotExamined); ok {
			level = Unseen
		}
		r.add(Finding{level, e.Text()})
	}
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
	r := &Report{}
	state, err := s.checkState(r)
	if err != nil {
		return r, err
	}
	doors, doubts, err := engine.Prepare(s.Conf)
	if err = s.seen(r, err); err != nil {
		return r, err
	}
	if len(engine.SPADoors(doors)) > 0 && !state {
		return r, ErrNoStore
	}
	r.events(doubts)
	s.checkHistory(r)
	r.events(Doubts(s.Conf, s.Actions))
	r.advise(s.Conf.Advice...)
	r.add(commandAdvice(s.Conf)...)
	r.advise(engine.KeyAdvice(doors)...)
	if rule := firewall.MarkRule(s.Conf); rule != "" {
		r.advise(rule)
	}
	s.interfaces(r)
	return r, nil
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
