package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"knockd/internal/cli"
	"knockd/internal/nft"
	"knockd/internal/openings/journal"
)

// How long --cleanup --force waits for a daemon to close its doors, as
// systemd does with the unit, and how often it looks.
const (
	stopLimit = 90 * time.Second
	stopLook  = 50 * time.Millisecond
)

// takeOut is --cleanup.
func (o *options) takeOut(ctx context.Context, stdout, stderr io.Writer) error {
	j, err := o.alone(ctx, stdout, stderr)
	if err != nil {
		return err
	}
	if j != nil {
		defer j.Close()
	}
	done, err := nft.Cleanup(0)
	sayAll(stdout, done)
	if err == nil && len(done) == 0 {
		fmt.Fprintln(stdout, "nothing of knockd's is in the kernel")
	}
	return err
}

// alone returns the journal, nil if there is none, when no daemon runs that
// has it or would keep its tables: with --force those that do are ended. The
// lock of the journal keeps them from being started again meanwhile.
func (o *options) alone(ctx context.Context, stdout, stderr io.Writer) (j *journal.Journal, err error) {
	ending := map[int]syscall.Signal{}
	named := o.namedStateDir(stderr)
	for deadline := time.Now().Add(stopLimit); ; {
		var others []int
		if others, err = o.others(&j, named); len(others) == 0 && err == nil {
			return j, nil
		}
		if err == nil && !o.force {
			err = cli.WithHint(fmt.Errorf("already running (pid %s)", joined(others)),
				"stop it before, or have it stopped: knockd --cleanup --force")
		}
		if err == nil {
			err = end(others, time.Now().After(deadline), ending, stdout)
		}
		if err == nil {
			err = pause(ctx)
		}
		if err != nil {
			if j != nil {
				j.Close()
			}
			return nil, err
		}
	}
}

// others returns the daemons that run, and opens the journal if none has it.
func (o *options) others(j **journal.Journal, named string) (pids []int, err error) {
	if *j == nil {
		*j, err = o.findJournal(named, io.Discard)
		if running := (*journal.RunningError)(nil); errors.As(err, &running) {
			if pids = append(pids, running.Holder()); pids[0] == 0 {
				return nil, cli.WithHint(running, "it is not to be seen from here: stop it where it runs")
			}
		} else if err != nil {
			return nil, err
		}
	}
	keepers, unseen, err := nft.Keepers()
	if err != nil {
		return nil, err
	}
	if len(unseen) > 0 {
		return nil, cli.WithHint(fmt.Errorf("table %s belongs to a running program", unseen[0]), "it is not to be seen from here: stop it where it runs")
	}
	for _, pid := range keepers {
		if !slices.Contains(pids, pid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// end has daemons end: each is told once, or killed when its time is over.
func end(pids []int, late bool, signalled map[int]syscall.Signal, stdout io.Writer) error {
	signal, does := syscall.SIGTERM, "stopping"
	if late {
		signal, does = syscall.SIGKILL, "killing"
	}
	for _, pid := range pids {
		if signalled[pid] == signal {
			continue
		}
		fmt.Fprintf(stdout, "%s knockd (pid %d)\n", does, pid)
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop knockd (pid %d): %w", pid, err)
		}
		signalled[pid] = signal
	}
	return nil
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return errors.New("interrupted")
	case <-time.After(stopLook):
		return nil
	}
}

func joined(pids []int) string {
	text := fmt.Sprint(pids[0])
	for _, pid := range pids[1:] {
		text += fmt.Sprint(", ", pid)
	}
	return text
}
