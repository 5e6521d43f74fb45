//go:build !windows

package onetime

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock waits until this descriptor alone holds the file.
func lock(file *os.File) error {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			return err
		}
	}
}
