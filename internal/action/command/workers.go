package command

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"knockd/internal/cgroup"
	"knockd/internal/event"
)

// What a worker needs. A command that runs has a descriptor, the kernel's
// handle of its process, and so has a file that a native opening writes; it is
// a shell and the program in it. Of all there are starts and stops.
const (
	filesPerWorker = 4
	tasksPerWorker = 4
	// spareFiles is what is left to all else that opens files for a moment:
	// the start of a command, state that is written anew, a reload, a log that
	// is opened again, sockets, host names.
	spareFiles = 20
	// spareTasks is for commands that are more than that.
	spareTasks = 10
	// fewestWorkers are had in any case: a command that cannot be run is tried
	// again.
	fewestWorkers = 2
)

// Workers returns how many commands, most of all, may run side by side with the
// descriptors and processes that we may have, and what is to be told if they are
// few. Go has raised the limit of descriptors as far as it goes, and gives commands
// the one that we were started with.
func Workers(most int) (n int, limited event.Event) {
	n = most
	fit := func(most int, why string) {
		if most = max(most, fewestWorkers); most < n {
			n, limited = most, event.WorkersLimited{Workers: most, Why: why}
		}
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil {
		free := int(min(limit.Cur, 1<<20)) - openFiles()
		fit((free-spareFiles)/filesPerWorker, fmt.Sprintf("only %d files may be open (ulimit -n)", limit.Cur))
	}
	if free, ok := tasksLeft(cgroup.Mount, cgroup.Own()); ok {
		fit((free-spareTasks)/tasksPerWorker, fmt.Sprintf("only %d processes may be added (pids.max)", free))
	}
	return n, limited
}

// openFiles returns how many files this process has open.
func openFiles() int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 2 * spareFiles
	}
	return len(files)
}

// tasksLeft returns how many processes and threads may be added to the control
// groups that a text like /proc/self/cgroup names, and whether there is a
// limit, by the groups' files below a directory.
func tasksLeft(root, groups string) (free int, limited bool) {
	for dir := range cgroup.Dirs(root, groups, "pids") {
		most, err := number(dir + "/pids.max")
		now, err2 := number(dir + "/pids.current")
		if err == nil && err2 == nil && (!limited || most-now < free) {
			free, limited = most-now, true
		}
	}
	return free, limited
}

// number returns what a file holds that holds a number.
func number(name string) (int, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}
