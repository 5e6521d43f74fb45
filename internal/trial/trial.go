// Package trial remembers that a configuration is on trial, beyond the end of the daemon that tries it: a file beside
// the journal says until when, and keeps the configuration that was in use before.
package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/config"
	"knockd/internal/knock"
	"knockd/internal/statefile"
)

// State is a trial that was not confirmed: it runs, or it is over.
type State struct {
	// Boot is the one in which it began: in another one it is over.
	Boot string `json:"boot"`
	// Begin and End count from the machine's start, suspend included
	// (CLOCK_BOOTTIME): nobody can set that clock.
	Begin time.Duration `json:"begin"`
	End   time.Duration `json:"end"`
	// Fingerprint is that of the configuration on trial (config.Files): another
	// one is not on trial.
	Fingerprint string `json:"fingerprint"`
	// Keep are the ports that the guard closes whatever becomes of the trial.
	Keep []knock.PortRange `json:"keep,omitempty"`
	// Kept is the fingerprint of the configuration that comes back; "": none
	// does, and the one on trial stays in use with its ports open.
	Kept string `json:"kept,omitempty"`
}

// New returns the state of a trial that begins now.
func New(fingerprint string, length time.Duration) *State {
	now := sinceBoot()
	return &State{Boot: bootID(), Begin: now, End: now + length, Fingerprint: fingerprint}
}

// Unknown returns the state of a trial of which nothing is known but that there
// was one: it is over.
func Unknown(fingerprint string) *State { return &State{Fingerprint: fingerprint} }

// Returns reports whether another configuration comes back.
func (s *State) Returns() bool { return s.Kept != "" }

// Left returns how much of the trial's time is left: 0 when it is over, or began
// in another boot.
func (s *State) Left() time.Duration {
	if s.Boot == "" || s.Boot != bootID() {
		return 0
	}
	return max(0, s.End-sinceBoot())
}

// For tests: other clocks and boots.
var (
	sinceBoot = func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
			return 1<<63 - 1 // every trial is over
		}
		return time.Duration(ts.Nano())
	}
	bootID = func() string {
		b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			return "" // every trial is over
		}
		return strings.TrimSpace(string(b))
	}
)

// Store is where the state of one configuration's trial is kept.
type Store struct {
	dir, name string
}

// NewStore returns the Store of a configuration in a directory of state, whose
// name there is that of its journal without an interface (journal.Name): what is
// on trial is the configuration, whatever it listens on.
func NewStore(dir, name string) *Store { return &Store{dir, name + ".unconfirmed"} }

// Path returns the path of the state.
func (s *Store) Path() string { return filepath.Join(s.dir, s.name) }

// KeptPath returns the path of the configuration that comes back.
func (s *Store) KeptPath() string {
	return strings.TrimSuffix(s.Path(), ".unconfirmed") + ".kept"
}

// maxState is above what ports of any configuration take.
const maxState = 4 << 20

// Read returns the trial that was not confirmed, nil if there is none. A state
// that cannot be read is an error: what it says of the guard is unknown.
func (s *Store) Read() (*State, error) {
	text, _, err := statefile.Source{Max: maxState, NoFollow: true, Check: statefile.Writable}.Read(s.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read whether the configuration is on trial: %w", err)
	}
	state := &State{}
	if err := json.Unmarshal(text, state); err != nil || state.Fingerprint == "" {
		return nil, fmt.Errorf("%s is damaged: remove it if the configuration is not on trial", s.Path())
	}
	return state, nil
}

// Write puts a state in the place of what is there, on the disk when it returns.
func (s *Store) Write(state *State) error {
	text, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("note the trial: %w", err)
	}
	return s.onDisk(func() error { return replace(s.Path(), append(text, '\n')) })
}

// Keep keeps the files of a configuration, to come back when the trial is over.
func (s *Store) Keep(files *config.Files) error {
	texts, err := files.Texts()
	if err != nil {
		return err
	}
	return s.onDisk(func() error {
		if err := s.dropKept(); err != nil {
			return err
		}
		if err := replace(s.KeptPath(), texts.Main); err != nil || len(texts.DropIns) == 0 {
			return err
		}
		if err := makeDir(s.KeptPath() + ".d"); err != nil {
			return err
		}
		for _, d := range texts.DropIns {
			if err := replace(filepath.Join(s.KeptPath()+".d", d.Name), d.Text); err != nil {
				return err
			}
		}
		return nil
	})
}

// Remove takes away the state, and what was kept: nothing is on trial.
func (s *Store) Remove() error {
	return s.onDisk(func() error {
		if err := os.Remove(s.Path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := syncDir(s.dir); err != nil {
			return err
		}
		return s.dropKept()
	})
}

func (s *Store) dropKept() error {
	return errors.Join(os.RemoveAll(s.KeptPath()), os.RemoveAll(s.KeptPath()+".d"))
}

// onDisk does what may have to wait for the disk, in a directory that is safe.
func (s *Store) onDisk(do func() error) error {
	return statefile.Do(s.dir, func(ctx context.Context) error {
		if err := makeDir(s.dir); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return do()
	})
}

func makeDir(path string) error {
	d, err := statefile.MakeDir(path)
	if err != nil {
		return err
	}
	return d.Close()
}

func replace(path string, text []byte) error {
	l, err := statefile.Replace(path, text)
	if err != nil {
		return err
	}
	return l.Close()
}

// syncDir brings to the disk which files are in a directory.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
