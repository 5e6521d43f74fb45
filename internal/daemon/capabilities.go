package daemon

import (
	"errors"
	"fmt"
	"math"
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

// allCapabilities is what an action needs of which nobody knows what it needs.
const allCapabilities = math.MaxUint64

// dropCapabilities gives up, for good, the capabilities that no door of the
// configuration needs, and whatever an exec could give back. Commands inherit
// what is left, and nobody knows what they need: with a door that has one
// everything is kept, and so it is while an opening of an earlier configuration
// needs more to be closed. A reload that goes on reckons with what there is, and
// a thread that waits for a disk gives up nothing.
func (d *Daemon) dropCapabilities() {
	keep := d.neededBy(d.conf)
	if d.limited || keep == allCapabilities {
		return
	}
	needsMore := func(o openings.Pending) bool { return d.closing(o)&^keep != 0 }
	if d.reloading || d.oneTime.running > 0 || statefile.Waiting() || slices.ContainsFunc(d.manager.Openings(), needsMore) {
		time.AfterFunc(dropAgain, func() { d.post(d.dropCapabilities) })
		return
	}
	d.limited = true
	if err := d.limit(keep); err != nil {
		d.Log.Event(event.Fault{Err: fmt.Errorf("give up capabilities: %w", err)})
	}
}

// closing returns the capabilities that closing an opening takes.
func (d *Daemon) closing(o openings.Pending) uint64 {
	if a, ok := d.Actions[o.Action]; ok {
		return a.Needs(o.Args)
	}
	return allCapabilities
}

// neededBy returns the set of capabilities, as bits, that a configuration needs:
// to sniff, to open and close its doors, and as root to write log and state files
// that belong to somebody else.
func (d *Daemon) neededBy(conf *config.Config) uint64 {
	need := uint64(1) << unix.CAP_NET_RAW
	for _, door := range conf.Doors {
		for _, a := range door.Actions {
			need |= d.Actions[a.Name].Needs(a.Args)
		}
	}
	if os.Geteuid() == 0 {
		need |= 1 << unix.CAP_DAC_OVERRIDE
	}
	return need
}
