package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"knockd/internal/action"
	"knockd/internal/action/command"
	"knockd/internal/check"
	"knockd/internal/config"
	"knockd/internal/daemon"
	"knockd/internal/event"
	"knockd/internal/eventlog"
	"knockd/internal/firewall"
	"knockd/internal/knock"
	"knockd/internal/nft"
	"knockd/internal/openings"
	"knockd/internal/openings/journal"
	"knockd/internal/statefile"
)

// openJournal opens the journal in the StateDir that the configuration names.
// Without a name the default one is nice to have: if it cannot be made the
// daemon runs without a journal (nil).
func (o *options) openJournal(named string, stderr io.Writer) (*journal.Journal, error) {
	j, err := o.journal(journal.Open, named)
	if err == nil {
		return j, nil
	}
	if running := (*journal.RunningError)(nil); errors.As(err, &running) {
		return nil, running
	}
	return nil, o.withoutJournal(err, named, stderr)
}

// namedStateDir returns the StateDir of a configuration that may be faulty. It
// believes no file that the daemon would not, and says which.
func (o *options) namedStateDir(stderr io.Writer) string {
	named, warnings := config.StateDir(o.config)
	o.warn(stderr, warnings...)
	return o.path(named)
}

// findJournal opens the journal if there is one, else it returns nil: it makes
// nothing.
func (o *options) findJournal(named string, stderr io.Writer) (*journal.Journal, error) {
	j, err := o.journal(journal.Find, named)
	running := (*journal.RunningError)(nil)
	switch {
	case err == nil:
		return j, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.As(err, &running):
		return nil, running
	}
	return nil, o.withoutJournal(err, named, stderr)
}

// journal opens the journal in a way, but waits for no disk that does not answer.
func (o *options) journal(open func(dir, name string) (*journal.Journal, error), named string) (*journal.Journal, error) {
	dir, name, err := o.stateName(named)
	if err != nil {
		return nil, err
	}
	return statefile.Within(filepath.Join(dir, name), func(context.Context) (*journal.Journal, error) { return open(dir, name) },
		func(j *journal.Journal) { j.Close() })
}

// withoutJournal is check.WithoutJournal, with the warning said.
func (o *options) withoutJournal(err error, named string, stderr io.Writer) error {
	warning, fault := check.WithoutJournal(err, named)
	if warning != "" {
		o.warn(stderr, warning)
	}
	return fault
}

// stateName is check.StateName of this daemon.
func (o *options) stateName(named string) (dir, name string, err error) {
	return check.StateName(named, o.path(o.config), o.interfaces)
}

// onceFile returns where used messages are kept, beside the journal and under
// its lock; "" without a journal.
func (o *options) onceFile(named string, j *journal.Journal) string {
	dir, name, err := o.stateName(named)
	if j == nil || err != nil {
		return ""
	}
	return filepath.Join(dir, name+".used")
}

// closeEverything is --close-all: it runs the stop commands of all that the
// journal holds, and ends openings in the kernel.
func (o *options) closeEverything(ctx context.Context, stdout, stderr io.Writer) error {
	surviveReaders()
	j, err := o.findJournal(o.namedStateDir(stderr), stderr)
	if err != nil {
		return err
	}
	var left int
	if j != nil {
		defer j.Close()
		if j.Keep() && !o.force {
			fmt.Fprintln(stdout, "OnStop = keep: nothing closed (--force closes)")
			return nil
		}
		left = closeJournal(ctx, j, stdout)
	}
	done, err := nft.CloseEverything(0)
	sayAll(stdout, done)
	if err != nil && !withoutNft(err) {
		return err
	}
	if left > 0 {
		return fmt.Errorf("%d doors could not be closed", left)
	}
	return nil
}

// withoutNft says that there can be no openings in the kernel that were ours to
// close: there is no nf_tables, or no permission ever to have used it.
func withoutNft(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EPROTONOSUPPORT) ||
		errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)
}

// closeJournal runs the stop commands of a journal's openings. It returns how
// many doors are left open.
func closeJournal(ctx context.Context, j *journal.Journal, stdout io.Writer) (left int) {
	log := eventlog.New(eventlog.Outputs{Log: eventlog.Plain{W: stdout}}, 1)
	defer log.Close()
	workers, _ := command.Workers(openings.MaxRunning)
	_, left = openings.CloseAll(ctx, j, openings.Options{
		Log: log, Actions: action.Stopped(), Workers: workers,
	})
	return left
}

// sayGuarded is --guard.
func (o *options) sayGuarded(conf *config.Config, stdout, stderr io.Writer) error {
	conf, state := o.inUse(conf, stderr)
	closed, open, doubts, err := firewall.Guard(conf, daemon.OnTrial(state))
	o.warn(stderr, event.Texts(doubts)...)
	switch {
	case err != nil:
		return daemon.Lacking("CAP_NET_ADMIN", err)
	case len(open) > 0:
		o.warn(stderr, event.TrialOver{File: o.config, Ports: open}.Text())
	}
	if len(closed) > 0 {
		fmt.Fprintf(stdout, "closed to all: %s\n", knock.PortNames(closed, ", "))
	}
	return nil
}

func sayAll(w io.Writer, done []event.Event) {
	for _, e := range done {
		fmt.Fprintln(w, e.Text())
	}
}
