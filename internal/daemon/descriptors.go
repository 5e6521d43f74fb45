package daemon

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"knockd/internal/doors"
)

// What is needed of descriptors. A command that runs has one, the kernel's
// handle of its process; so has a file that a native opening writes. Of both
// there are starts and stops.
const (
	perWorker = 4
	// spareFiles is what is left to all else that opens files for a moment:
	// the start of a command, state that is written anew, a reload, a log that
	// is opened again, sockets, host names.
	spareFiles = 20
	// fewestWorkers are had in any case: a command that finds no descriptor is
	// tried again.
	fewestWorkers = 2
)

// workers is how many commands may run side by side with the descriptors that
// this process may have, and what is to be said of it. Go has raised the limit
// as far as it goes, and gives commands the one that we were started with.
func workers() (n int, note string) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return doors.MaxRunning, ""
	}
	open := 2 * spareFiles // unless /proc says better
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		open = len(files)
	}
	if n = workersFor(limit.Cur, open); n < doors.MaxRunning {
		note = fmt.Sprintf("at most %d start commands and %d stop commands run at a time: only %d files may be open (ulimit -n)",
			n, n, limit.Cur)
	}
	return n, note
}

func workersFor(limit uint64, open int) int {
	free := int(min(limit, 1<<20)) - open - spareFiles
	return min(max(free/perWorker, fewestWorkers), doors.MaxRunning)
}
