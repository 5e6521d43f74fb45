package command

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// tooSmall is a size that no core dump has. Unlike 0 it is also a word to the
// kernel not to give the dump to a program (core_pattern with a pipe).
const tooSmall = 1

// cores is what becomes of the limit of core dumps, which children inherit.
var cores struct {
	mu       sync.Mutex
	none     bool        // this process leaves none
	original unix.Rlimit // the commands'
}

// LeaveNoCore has this process leave no core dump, which could hold keys.
// Commands keep the limit that the process was started with. Not being dumpable
// (PR_SET_DUMPABLE) would do it too, but hide /proc/PID/exe from root without
// CAP_SYS_PTRACE: in a container start-stop-daemon would not find us.
func LeaveNoCore() error {
	cores.mu.Lock()
	defer cores.mu.Unlock()
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &cores.original); err != nil {
		return fmt.Errorf("limit core dumps: %w", err)
	}
	cores.none = true
	return forbidCore()
}

func forbidCore() error {
	limit := unix.Rlimit{Cur: min(tooSmall, cores.original.Max), Max: cores.original.Max}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("limit core dumps: %w", err)
	}
	return nil
}

// withCores runs start, which makes a process, while the limit is the commands'.
// It does so for one process at a time, so that the descriptors that a start
// takes for a moment are needed once.
func withCores(start func() error) error {
	cores.mu.Lock()
	defer cores.mu.Unlock()
	if cores.none {
		_ = unix.Setrlimit(unix.RLIMIT_CORE, &cores.original)
		defer forbidCore()
	}
	return start()
}
