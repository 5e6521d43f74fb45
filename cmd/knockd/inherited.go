package main

import (
	"math"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// firstOther is the first descriptor behind standard input, output and error.
const firstOther = 3

// inherited are the descriptors from firstOther on that whoever started us left
// open. Names such as /dev/fd/63, which a shell makes of <(...), lead to them.
type inherited []int

// keepInherited has all of them end with this process: commands do not get them.
// Those that Go opens itself are so anyway.
func keepInherited() (fds inherited) {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil { // and so there is no /dev/fd either
		_ = unix.CloseRange(firstOther, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
		return nil
	}
	for _, e := range list {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd < firstOther {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.CloseOnExec(fd)
			fds = append(fds, fd)
		}
	}
	return fds
}

// has reports whether a descriptor is one of them.
func (fds inherited) has(fd int) bool { return slices.Contains(fds, fd) }

// letGo has a daemon in the background keep none of them open: somebody may
// wait for the end of a pipe. Their numbers stay taken, so that a name that led
// to one never leads to a file of ours.
func (fds inherited) letGo(null int) {
	for _, fd := range fds {
		_ = unix.Dup3(null, fd, unix.O_CLOEXEC)
	}
}
