package daemon

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/config"
	"knockd/internal/event"
	"knockd/internal/openings"
	"knockd/internal/statefile"
)

// LackError is an error that a capability would mend.
type LackError struct {
	Capability string // as capabilities(7) writes it
	error
}

// Unwrap returns the error.
func (e *LackError) Unwrap() error { return e.error }

// Hint says how to give it.
func (e *LackError) Hint() string {
	name := strings.ToLower(e.Capability)
	return fmt.Sprintf("run as root, or give the capability %s (setcap %s=ep, AmbientCapabilities= in the unit, --cap-add %s)",
		e.Capability, name, strings.TrimPrefix(e.Capability, "CAP_"))
}

// Lacking says which capability would mend an error, if one would.
func Lacking(capability string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return &LackError{capability, err}
	}
	return err
}

// dropAgain is how often it is seen whether the last command of an earlier
// configuration has run.
const dropAgain = time.Minute

// dropCapabilities gives up, for good, the capabilities that no door of the
// configuration needs, and whatever an exec could give back. Commands inherit
// what is left, and nobody knows what they need: with a door that has one
// everything is kept, and so it is while an opening of an earlier configuration
// needs more to be closed. A reload that goes on reckons with what there is, and
// a thread that waits for a disk gives up nothing.
func (d *Daemon) dropCapabilities() {
	if d.limited || hasCommands(d.conf) {
		return
	}
	keep := neededBy(d.conf)
	waiting := d.reloading || d.marks.running > 0 || statefile.Waiting()
	if waiting || slices.ContainsFunc(d.manager.Openings(), func(o openings.Pending) bool { return needsMore(o, keep) }) {
		time.AfterFunc(dropAgain, func() { d.post(d.dropCapabilities) })
		return
	}
	d.limited = true
	if err := d.limit(keep); err != nil {
		d.Log.Event(event.Fault{Err: fmt.Errorf("give up capabilities: %w", err)})
	}
}

// needsMore reports whether closing an opening takes more than these
// capabilities. Nobody knows what a command takes.
func needsMore(o openings.Pending, keep uint64) bool {
	a, ok := stopped()[o.Action]
	return !ok || a.Needs()&^keep != 0
}

// hasCommands says whether a door of the configuration runs anything.
func hasCommands(conf *config.Config) bool {
	for _, d := range conf.Doors {
		if d.StartCommand != "" || d.StartCommand6 != "" {
			return true
		}
	}
	return false
}

// neededBy is the set of capabilities, as bits, that doors without commands
// need: to sniff, to change the firewall if they do, and as root to write log
// and state files that belong to somebody else.
func neededBy(conf *config.Config) uint64 {
	need, all := uint64(1)<<unix.CAP_NET_RAW, stopped()
	for _, d := range conf.Doors {
		if d.OpensPorts() {
			need |= all[nftKind].Needs()
		}
		for _, a := range d.Actions {
			need |= all[a.Key].Needs()
		}
	}
	if os.Geteuid() == 0 {
		need |= 1 << unix.CAP_DAC_OVERRIDE
	}
	return need
}
