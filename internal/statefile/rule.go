package statefile

import (
	"fmt"
	"io/fs"
)

// A RefusalError says which rule a file breaks that could be opened.
type RefusalError struct {
	Path string
	Err  error // the rule
}

// Error returns "PATH: the rule".
func (e *RefusalError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns the rule.
func (e *RefusalError) Unwrap() error { return e.Err }

// A WriterError says who could have written a file, beside root and the user of
// this process.
type WriterError struct {
	Owner bool   // its owner, whatever its mode is
	UID   uint32 // of the owner
	Mode  fs.FileMode
}

// Error says who and what would be right.
func (e *WriterError) Error() string {
	if e.Owner {
		return fmt.Sprintf("belongs to user %d: must belong to root", e.UID)
	}
	return fmt.Sprintf("others can write it (mode %04o): must be writable by root alone", e.Mode)
}

// Foreign returns a *WriterError if a file belongs neither to root nor to the
// user of this process.
func Foreign(info fs.FileInfo) error {
	if uid, foreign := owner(info); foreign {
		return &WriterError{Owner: true, UID: uid}
	}
	return nil
}

// Writable returns a *WriterError if anybody could have written a file: its
// owner, its group or all.
func Writable(info fs.FileInfo) error {
	if err := Foreign(info); err != nil {
		return err
	}
	if perm := info.Mode().Perm(); hasModes && perm&0o022 != 0 {
		return &WriterError{Mode: perm}
	}
	return nil
}

// WritableByAll reports whether everybody could have written a file.
func WritableByAll(info fs.FileInfo) bool { return hasModes && info.Mode().Perm()&0o002 != 0 }

// WritableByGroup reports whether a group could have written a file.
func WritableByGroup(info fs.FileInfo) bool { return hasModes && info.Mode().Perm()&0o020 != 0 }

// ReadableByAll reports whether everybody can read a file.
func ReadableByAll(info fs.FileInfo) bool { return hasModes && info.Mode().Perm()&0o004 != 0 }
