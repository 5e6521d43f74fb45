package daemon

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"knockd/internal/config"
)

// LackError is an error that a capability would mend.
type LackError struct {
	Capability string // as capabilities(7) writes it
	error
}

// Unwrap returns the error.
func (e *LackError) Unwrap() error { return e.error }

// lacking says which capability would mend an error, if one would.
func lacking(capability string, err error) error {
	if errors.Is(err, os.ErrPermission) {
		return &LackError{capability, err}
	}
	return err
}

// dropCapabilities gives up, for good, the capabilities that no door of the
// configuration needs. Commands inherit what is left, and nobody knows what
// they need: with a door that has one everything is kept, and so it is while an
// opening of an earlier configuration is held, whatever closes it.
func (d *Daemon) dropCapabilities() {
	if hasCommands(d.conf) || d.manager.Pending() > 0 {
		return
	}
	if err := limitCapabilities(neededBy(d.conf)); err != nil {
		d.Log.Warn(fmt.Sprintf("give up capabilities: %v", err))
		return
	}
	d.limited = true
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
	need := uint64(1) << unix.CAP_NET_RAW
	for _, d := range conf.Doors {
		if len(d.Open) > 0 || d.XtRecent != "" {
			need |= 1 << unix.CAP_NET_ADMIN
		}
	}
	if os.Geteuid() == 0 {
		need |= 1 << unix.CAP_DAC_OVERRIDE
	}
	return need
}

// limitCapabilities drops all capabilities but the given ones from every
// thread: capabilities(7) are a thread's own.
func limitCapabilities(keep uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var now [2]unix.CapUserData
	if err := unix.Capget(&header, &now[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	for i := range now {
		mask := uint32(keep >> (32 * i))
		now[i].Effective &= mask
		now[i].Permitted &= mask
		now[i].Inheritable &= mask
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&now[0])), 0)
	switch errno {
	case 0:
		return nil
	case unix.ENOTSUP: // a build with cgo, as the race detector needs
		return nil
	}
	return os.NewSyscallError("capset", errno)
}
