//go:build !386 && !arm && !mips && !mipsle

package journal

import (
	"time"

	"golang.org/x/sys/unix"
)

// BootTime returns CLOCK_BOOTTIME: the time since the machine was started,
// suspend included, that nobody can set.
func BootTime() time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Unix(0, 0) // since Linux 2.6.39 it does not fail
	}
	return time.Unix(ts.Unix())
}
