//go:build 386 || arm || mips || mipsle

package journal

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// BootTime returns CLOCK_BOOTTIME: the time since the machine was started,
// suspend included, that nobody can set. Before Linux 5.1, or where a filter of
// system calls does not know the call with times of 64 bits, it has 32 bits,
// enough for 68 years without a restart.
func BootTime() time.Time {
	var long struct{ sec, nsec int64 } // struct __kernel_timespec
	_, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME64, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&long)), 0)
	if errno == 0 {
		return time.Unix(long.sec, long.nsec)
	}
	var short unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &short); err != nil {
		return time.Unix(0, 0) // since Linux 2.6.39 it does not fail
	}
	return time.Unix(short.Unix())
}
