package check

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"knockd/internal/cli"
	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/history"
	"knockd/internal/openings/journal"
	"knockd/internal/statefile"
)

// StateName returns the directory of the state of a daemon and the name of its
// files in it, which daemons of another configuration or interface do not share.
func StateName(named, configFile string, interfaces []string) (dir, name string, err error) {
	dir = named
	if dir == "" {
		dir = config.DefaultStateDir
	}
	name, err = journal.Name(configFile, strings.Join(interfaces, ","))
	return dir, name, err
}

// WithoutJournal says what it means that there is no journal in a directory: a
// fault, or a warning if nobody has named it.
func WithoutJournal(err error, named string) (warning string, fault error) {
	switch {
	case errors.Is(err, journal.ErrUnsafe):
		return "", cli.WithHint(err, "it holds what root will run: chown it to root and take write permission from others (chmod go-w)")
	case named != "":
		return "", cli.WithHint(err, "StateDir must be a directory that knockd can make or write")
	}
	return fmt.Sprintf("%v: doors that are open stay open if knockd crashes", err), nil
}

// checkState reports whether there would be a journal, or nobody can know.
func (s Setup) checkState(r *Report) (ok bool, err error) {
	dir, name, err := StateName(s.Conf.StateDir, s.ConfigFile, s.Interfaces)
	if err != nil {
		return false, err
	}
	err = statefile.Do(filepath.Join(dir, name), func(context.Context) error { return journal.Check(dir, name) })
	switch {
	case err == nil:
		return true, nil
	case s.hidden(err):
		r.add(Finding{Unseen, err.Error()})
		return true, nil
	}
	warning, err := WithoutJournal(err, s.Conf.StateDir)
	if warning != "" {
		r.warn(warning)
	}
	return false, err
}

// checkHistory says why the history's file could not be used.
func (s Setup) checkHistory(r *Report) {
	if s.Conf.HistoryFile == "" {
		return
	}
	switch err := history.Check(s.Conf.HistoryFile); {
	case err == nil:
	case s.hidden(err):
		r.add(Finding{Unseen, err.Error()})
	default:
		r.warn(event.HistoryFailed{Err: err}.Text())
	}
}
