package openings

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"knockd/internal/statefile"
)

// ErrUnsafe says that somebody else could write what root is going to run.
var ErrUnsafe = errors.New("not safe")

// RunningError says that another daemon holds the journal.
type RunningError struct {
	Pid int // as the daemon has written it; 0: not known

	lock fs.FileInfo
}

// Holder returns the process that has the journal: Pid, if that is seen to
// hold its lock, else 0. In a container other processes bear the same numbers.
func (e *RunningError) Holder() int {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", e.Pid))
	for _, link := range links {
		if open, err := os.Stat(link); err == nil && e.lock != nil && os.SameFile(open, e.lock) {
			return e.Pid
		}
	}
	return 0
}

// Error implements error.
func (e *RunningError) Error() string {
	if e.Pid == 0 {
		return "already running"
	}
	return fmt.Sprintf("already running (pid %d)", e.Pid)
}

// JournalName is the name of a daemon's journal within StateDir: made of the
// path of its configuration (made absolute) and the interface given with -i
// (may be empty), so that daemons of another configuration or interface have
// another one. /etc/knockd.conf on eth0 is etc-knockd.conf@eth0.
func JournalName(config, iface string) (string, error) {
	config, err := filepath.Abs(config)
	if err != nil {
		return "", err
	}
	name := escapeName(strings.TrimPrefix(config, "/"))
	if iface != "" {
		name += "@" + escapeName(iface)
	}
	if len(name) > 200 { // NAME_MAX is 255
		sum := sha256.Sum256([]byte(name))
		name = fmt.Sprintf("%s-%x", name[:100], sum[:16])
	}
	return name, nil
}

// escapeName writes a path as one name: / as -, and all but letters, digits, _
// and . as %XX, so that no two paths have the same name.
func escapeName(path string) string {
	var b strings.Builder
	for i := range len(path) {
		switch c := path[i]; {
		case c == '/':
			b.WriteByte('-')
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '_', c == '.':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// stateDir is the directory of the journals, open. All access goes through its
// descriptor: the directory that was checked is the one that is used.
type stateDir struct {
	dir  *os.File
	path string
}

// openStateDir opens the directory and makes it if it is not there.
func openStateDir(path string) (*stateDir, error) {
	if err := makeDir(path); err != nil {
		return nil, err
	}
	return findStateDir(path)
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

// findStateDir opens the directory that is there.
func findStateDir(path string) (*stateDir, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("%s: %w: not a directory, or a symbolic link", path, ErrUnsafe)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	d := &stateDir{dir: os.NewFile(uintptr(fd), path), path: path}
	if err := onlyOurs(d.dir, fs.ModeDir); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// CheckJournal says why OpenJournal would fail, but for a daemon that has the
// journal. It changes nothing.
func CheckJournal(dir, name string) error {
	d, err := findStateDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return canMake(dir)
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "write", Path: dir, Err: err}
	}
	for _, file := range []string{name + ".journal", name + ".lock"} {
		f, err := d.find(file, 0)
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
func (d *stateDir) Close() error { return d.dir.Close() }

// open opens a file in the directory for reading and writing, as ours alone.
func (d *stateDir) open(name string, flags int) (*os.File, error) {
	f, err := d.find(name, flags)
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

// find is open that changes nothing, unless flags say so.
func (d *stateDir) find(name string, flags int) (*os.File, error) {
	path := filepath.Join(d.path, name)
	// Non-blocking, so that a pipe in the file's place is found out, not waited for.
	flags |= unix.O_RDWR | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	fd, err := unix.Openat(int(d.dir.Fd()), name, flags, 0o600)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%s: %w: a symbolic link", path, ErrUnsafe)
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("%s: %w: not a regular file", path, ErrUnsafe)
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	if err := onlyOurs(f, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (d *stateDir) rename(from, to string) error {
	return unix.Renameat(int(d.dir.Fd()), from, int(d.dir.Fd()), to)
}

func (d *stateDir) remove(name string) { _ = unix.Unlinkat(int(d.dir.Fd()), name, 0) }

// onlyOurs checks that nobody but us and root can write what is open.
func onlyOurs(f *os.File, kind fs.FileMode) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Type() != kind {
		return fmt.Errorf("%s: %w: not a regular file", f.Name(), ErrUnsafe)
	}
	who := (*statefile.WriterError)(nil)
	switch errors.As(statefile.Writable(info), &who); {
	case who == nil:
		return nil
	case who.Owner:
		return fmt.Errorf("%s: %w: owned by user %d", f.Name(), ErrUnsafe, who.Uid)
	}
	return fmt.Errorf("%s: %w: others can write it (mode %04o)", f.Name(), ErrUnsafe, who.Mode)
}

// lock makes the journal ours alone until the file is closed. Commands do not
// inherit it.
func (d *stateDir) lock(name string) (*os.File, error) {
	f, err := d.open(name+".lock", unix.O_CREAT)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		defer f.Close()
		lock, _ := f.Stat()
		return nil, &RunningError{Pid: readPid(f), lock: lock}
	}
	if err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	// The number is for people. A full disk is no reason not to lock.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

func readPid(f *os.File) int {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return max(pid, 0)
}
