package statefile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// open opens what a rule permits, and never waits for who is at the other end.
// The rule is asked twice: of what the path leads to, since opening alone does
// something to some devices, and of what was opened, which may be another file.
// The second word counts.
func open(ctx context.Context, path string, flag int, perm fs.FileMode, permits func(string, fs.FileInfo) error) (*os.File, fs.FileInfo, error) {
	look := os.Stat
	if flag&NoFollow != 0 {
		look = os.Lstat
	}
	if info, err := look(path); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		if err := permits(path, info); err != nil {
			return nil, info, err
		}
	}
	f, err := openNow(ctx, path, flag, perm)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = permits(path, info)
	}
	if err != nil {
		f.Close()
		return nil, info, err
	}
	return f, info, nil
}

// openNow opens a path without waiting: but for a while for somebody who holds a
// lease on the file, as file servers do, and gives it back when asked.
func openNow(ctx context.Context, path string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag|atOnce, perm)
	if err != nil && isBusy(err) {
		err = retry(ctx, func() error {
			f, err = os.OpenFile(path, flag|atOnce, perm)
			return err
		})
	}
	if fd, own := ownDescriptor(path); err != nil && own && cannotReopen(err) {
		return duplicate(fd, path)
	}
	if err != nil && isBusy(err) {
		err = &fs.PathError{Op: "open", Path: path, Err: errHeld}
	}
	return f, err
}

// patience is how long whatever somebody else holds is tried for.
const patience = time.Second

// retry tries until it succeeds, fails for another reason than that somebody
// else is at it, or has lasted too long.
func retry(ctx context.Context, try func() error) error {
	until := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		err := try()
		if err == nil || !isBusy(err) || time.Now().After(until) || ctx.Err() != nil {
			return err
		}
		time.Sleep(pause)
	}
}

// ownDescriptor says which of this process's descriptors a path names.
func ownDescriptor(path string) (fd int, ok bool) {
	switch path = filepath.Clean(path); path {
	case "/dev/stdin":
		return 0, true
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/", "/proc/" + strconv.Itoa(os.Getpid()) + "/fd/"} {
		if number, found := strings.CutPrefix(path, dir); found {
			n, err := strconv.ParseUint(number, 10, 31)
			return int(n), err == nil
		}
	}
	return 0, false
}

// errHeld says why a file that is not there for us is busy.
var errHeld = errors.New("somebody else holds it")

// Locked opens a regular file for reading and writing, takes the lock that keeps
// out all others who ask for it, and calls do. The lock is tried for a second:
// whoever can read a file can hold it for ever. All together takes at most
// Limit; do must look at its context before it changes anything. Check is as in
// Source.
func Locked(path string, check func(fs.FileInfo) error, do func(ctx context.Context, f *os.File) error) error {
	return Do(path, func(ctx context.Context) error {
		f, _, err := open(ctx, path, os.O_RDWR, 0, Source{Check: check}.permits)
		if err != nil {
			return err
		}
		defer f.Close() // and with it the lock
		if err := retry(ctx, func() error { return tryLock(f) }); err != nil {
			if isBusy(err) {
				err = errHeld
			}
			return &fs.PathError{Op: "lock", Path: path, Err: err}
		}
		return do(ctx, f)
	})
}

// Open opens a regular file. Flag and perm are those of os.OpenFile; with
// NoFollow the last part of the path must not be a symbolic link. Check is as in
// Source.
func Open(path string, flag int, perm fs.FileMode, check func(fs.FileInfo) error) (*os.File, error) {
	return Within(path, func(ctx context.Context) (*os.File, error) {
		f, _, err := open(ctx, path, flag, perm, Source{Check: check}.permits)
		return f, err
	}, func(f *os.File) { f.Close() })
}

// Overwrite puts a text into a regular file, in place of what is there, or makes
// one that all can read. A device, such as /dev/null, takes it too.
func Overwrite(path, text string) error {
	return Do(path, func(ctx context.Context) error {
		f, info, err := open(ctx, path, os.O_WRONLY|os.O_CREATE, 0o644, func(path string, info fs.FileInfo) error {
			if info.Mode()&fs.ModeCharDevice != 0 {
				return nil
			}
			return Source{}.permits(path, info)
		})
		if err != nil {
			return err
		}
		defer f.Close()
		if info.Mode().IsRegular() {
			err = f.Truncate(0)
		}
		if err == nil {
			_, err = f.WriteString(text)
		}
		return err
	})
}
