package statefile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"
)

// The rules of a Source: ErrNotRegular is what pipes and devices break.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrTooLong    = errors.New("longer")
)

// Source is what may be read.
type Source struct {
	// Max is the most octets.
	Max int64
	// Own takes a pipe or terminal too, if it is this process's own and the
	// path says so: /dev/stdin, or /dev/fd/63 as the shell's <(...) has it; and
	// /dev/null, an empty file by its very name.
	Own bool
	// Limit is how long it may take; 0: as long as any file, Limit.
	Limit time.Duration
	// NoFollow refuses a path whose last part is a symbolic link.
	NoFollow bool
	// Check, if set, says which other rule a file breaks, before it is read.
	Check func(fs.FileInfo) error
}

// Read returns the text of a file, and what was read, which is what it is about
// if a rule is broken. A *RefusalError says which one.
func (s Source) Read(path string) (text []byte, info fs.FileInfo, err error) {
	type read struct {
		text []byte
		info fs.FileInfo
		err  error
	}
	r, err := within(path, cmp.Or(s.Limit, Limit), func(ctx context.Context) (read, error) {
		text, info, err := s.read(ctx, path)
		return read{text, info, err}, nil
	}, nil)
	if err == nil {
		err = r.err
	}
	return r.text, r.info, err
}

func (s Source) read(ctx context.Context, path string) ([]byte, fs.FileInfo, error) {
	flag := os.O_RDONLY
	if s.NoFollow {
		flag |= NoFollow
	}
	f, info, err := open(ctx, path, flag, 0, s.permits)
	if err != nil {
		return nil, info, err
	}
	defer f.Close()
	if info.Mode().IsRegular() && info.Size() > s.Max {
		return nil, info, &RefusalError{path, s.tooLong()}
	}
	if until, ok := ctx.Deadline(); ok {
		_ = f.SetReadDeadline(until) // of a pipe; the others know none
	}
	text, err := io.ReadAll(io.LimitReader(f, s.Max+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &fs.PathError{Op: "read", Path: path, Err: ErrNoAnswer}
	case err == nil && int64(len(text)) > s.Max:
		err = &RefusalError{path, s.tooLong()}
	}
	if err != nil {
		return nil, info, err
	}
	return text, info, nil
}

// permits is the rule for what a path leads to.
func (s Source) permits(path string, info fs.FileInfo) error {
	_, own := ownDescriptor(path)
	special := s.Own && (own || path == os.DevNull)
	switch {
	case info.IsDir():
		return &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	case !info.Mode().IsRegular() && !special:
		return &RefusalError{path, ErrNotRegular}
	}
	return checked(s.Check, path, info)
}

func checked(check func(fs.FileInfo) error, path string, info fs.FileInfo) error {
	if check == nil {
		return nil
	}
	if err := check(info); err != nil {
		return &RefusalError{path, err}
	}
	return nil
}

func (s Source) tooLong() error {
	if s.Max < 1<<20 {
		return fmt.Errorf("%w than %d KiB", ErrTooLong, s.Max>>10)
	}
	return fmt.Errorf("%w than %d MiB", ErrTooLong, s.Max>>20)
}

// maxEntries bounds what is read of a directory.
const maxEntries = 10_000

// List returns the names of what is in a directory, sorted. Check says which
// rule the directory breaks; it may be nil.
func List(dir string, check func(fs.FileInfo) error) (names []string, err error) {
	return Within(dir+"/", func(ctx context.Context) ([]string, error) {
		f, _, err := open(ctx, dir, os.O_RDONLY, 0, func(path string, info fs.FileInfo) error {
			if !info.IsDir() {
				return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
			}
			return checked(check, path, info)
		})
		if err != nil {
			return nil, err
		}
		defer f.Close()
		names, err := f.Readdirnames(maxEntries + 1)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if len(names) > maxEntries {
			err = &RefusalError{dir, fmt.Errorf("has more than %d entries", maxEntries)}
		}
		slices.Sort(names)
		return names, err
	}, nil)
}
