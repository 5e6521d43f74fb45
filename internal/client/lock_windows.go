package client

import (
	"os"

	"golang.org/x/sys/windows"
)

// lock waits until this handle alone holds the file. The lock is on a byte far
// behind the end, since it would keep others from reading what it covers.
func lock(file *os.File) error {
	at := &windows.Overlapped{OffsetHigh: 1 << 30}
	return windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, at)
}
