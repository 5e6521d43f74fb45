package statefile

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// NoFollow is a flag for Open. Here it asks for nothing.
const NoFollow = 0

const atOnce = 0

// isBusy reports whether somebody else holds what was asked for.
func isBusy(err error) bool {
	return errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_SHARING_VIOLATION)
}

func cannotReopen(error) bool { return false }

func duplicate(_ int, path string) (*os.File, error) {
	return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
}

// tryLock takes the lock of a file for this handle alone.
func tryLock(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, new(windows.Overlapped))
}
