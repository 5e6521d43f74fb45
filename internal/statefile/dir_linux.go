package statefile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Dir is a directory that nobody but root and the user of this process can
// write, open. All access goes through its descriptor: the directory that was
// checked is the one that is used.
type Dir struct {
	dir *os.File
}

// ErrNotDirectory is what something else in a Dir's place breaks.
var ErrNotDirectory = errors.New("not a directory, or a symbolic link")

// MakeDir opens a directory, and makes it if it is not there.
func MakeDir(path string) (*Dir, error) {
	if err := makeDir(path); err != nil {
		return nil, err
	}
	return OpenDir(path)
}

func makeDir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.Mkdir(path, 0o700)
	}
	return nil
}

// OpenDir opens a directory that is there. A symbolic link is none.
func OpenDir(path string) (*Dir, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return nil, &RefusalError{path, ErrNotDirectory}
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	d := &Dir{os.NewFile(uintptr(fd), path)}
	info, err := d.dir.Stat()
	if err == nil {
		err = checked(Writable, path, info)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// CheckDir says why MakeDir or Open would fail with these files. It changes
// nothing.
func CheckDir(path string, names ...string) error {
	d, err := OpenDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return canMake(path)
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Access(path, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	for _, name := range names {
		f, err := d.find(name, 0)
		if err == nil {
			f.Close()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// canMake says why a directory that is not there could not be made.
func canMake(dir string) error {
	parent := filepath.Dir(dir)
	st, err := os.Stat(parent)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return canMake(parent)
	case err != nil:
		return err
	case !st.IsDir():
		err = unix.ENOTDIR
	default:
		err = unix.Access(parent, unix.W_OK|unix.X_OK)
	}
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	return nil
}

// Close closes the directory.
func (d *Dir) Close() error { return d.dir.Close() }

// Path returns the path of a file in the directory.
func (d *Dir) Path(name string) string { return filepath.Join(d.dir.Name(), name) }

// Open opens a regular file in the directory for reading and writing, as ours
// alone. Flag is a further one of os.OpenFile. A symbolic link is refused, and
// what others can write.
func (d *Dir) Open(name string, flag int) (*os.File, error) {
	f, err := d.find(name, flag)
	if err != nil {
		return nil, err
	}
	// Who made it may have had another umask, or another idea of secrecy.
	if err := f.Chmod(0o600); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// find is Open that changes nothing, unless the flag says so.
func (d *Dir) find(name string, flag int) (*os.File, error) {
	path, fd := d.Path(name), -1
	err := retry(context.Background(), func() (err error) {
		for err = unix.EINTR; err == unix.EINTR; {
			fd, err = unix.Openat(int(d.dir.Fd()), name, flag|unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC|atOnce, 0o600)
		}
		return err
	})
	if err != nil {
		if isBusy(err) {
			err = errHeld
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	info, err := f.Stat()
	if err == nil {
		err = Source{Check: Writable}.permits(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Has reports whether there is something of that name.
func (d *Dir) Has(name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(int(d.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

func (d *Dir) remove(name string) error { return unix.Unlinkat(int(d.dir.Fd()), name, 0) }

func (d *Dir) rename(from, to string) error {
	if err := unix.Renameat(int(d.dir.Fd()), from, int(d.dir.Fd()), to); err != nil {
		return &os.LinkError{Op: "rename", Old: d.Path(from), New: d.Path(to), Err: err}
	}
	return nil
}

// A LockedError says that another process holds a lock.
type LockedError struct {
	Path string
	Note string      // what the lock's file holds
	Info fs.FileInfo // of that file
}

// Error says that it is locked.
func (e *LockedError) Error() string { return e.Path + ": " + errHeld.Error() }

// Lock takes a lock that is ours alone until its file is closed. Commands do not
// inherit it. The file stays.
func (d *Dir) Lock(name string) (*os.File, error) {
	f, err := d.Open(name, os.O_CREATE)
	if err != nil {
		return nil, err
	}
	err = tryLock(f)
	if err == nil {
		return f, nil
	}
	defer f.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	note := make([]byte, 32)
	n, _ := f.ReadAt(note, 0)
	info, _ := f.Stat()
	return nil, &LockedError{Path: f.Name(), Note: strings.TrimSpace(string(note[:n])), Info: info}
}
