//go:build !windows

package statefile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// NoFollow is a flag for Open.
const NoFollow = unix.O_NOFOLLOW

// atOnce has a pipe opened though nobody is at its other end, and no terminal
// become the one that controls us.
const atOnce = unix.O_NONBLOCK | unix.O_NOCTTY

// isBusy reports whether somebody else holds what was asked for.
func isBusy(err error) bool { return errors.Is(err, unix.EWOULDBLOCK) }

// cannotReopen reports whether the error is that of a descriptor which works and
// yet cannot be opened by its path: a socket, or a pipe that another user made.
func cannotReopen(err error) bool { return errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EACCES) }

func duplicate(fd int, path string) (*os.File, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(n), path), nil
}

// tryLock takes the lock of a file for this descriptor alone.
func tryLock(f *os.File) (err error) {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if other := c.Control(func(fd uintptr) {
		for err = unix.EINTR; err == unix.EINTR; {
			err = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB)
		}
	}); other != nil {
		return other
	}
	return err
}
