package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

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

// Name returns the name of a daemon's journal within StateDir: made of the
// path of its configuration (made absolute) and the interface given with -i
// (may be empty), so that daemons of another configuration or interface have
// another one. /etc/knockd.conf on eth0 is etc-knockd.conf@eth0.
func Name(config, iface string) (string, error) {
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

// Open opens the journal of that name (see Name) in a directory, makes both
// where they are not there, and locks it until Close.
//
// Errors: a *RunningError when another daemon has it; ErrUnsafe when somebody
// else could write it; else what the file system says.
func Open(dir, name string) (*Journal, error) {
	d, err := statefile.MakeDir(dir)
	if err != nil {
		return nil, notSafe(err)
	}
	return open(d, name)
}

// Find is Open for one that is there: it makes nothing. Without one the error
// is fs.ErrNotExist.
func Find(dir, name string) (*Journal, error) {
	d, err := statefile.OpenDir(dir)
	if err != nil {
		return nil, notSafe(err)
	}
	if file := name + ".journal"; !d.Has(file) {
		d.Close()
		return nil, &fs.PathError{Op: "open", Path: d.Path(file), Err: fs.ErrNotExist}
	}
	return open(d, name)
}

// Check says why Open would fail, but for a daemon that has the journal. It
// changes nothing.
func Check(dir, name string) error {
	return notSafe(statefile.CheckDir(dir, name+".journal", name+".lock"))
}

// notSafe returns an error in the journal's words: an ErrUnsafe if a rule is
// broken.
func notSafe(err error) error {
	path, why := "", ""
	switch opened, refused := (*fs.PathError)(nil), (*statefile.RefusalError)(nil); {
	case errors.As(err, &opened):
		path = opened.Path
	case errors.As(err, &refused):
		path = refused.Path
	}
	switch who := (*statefile.WriterError)(nil); {
	case errors.As(err, &who) && who.Owner:
		why = fmt.Sprintf("owned by user %d", who.UID)
	case who != nil:
		why = fmt.Sprintf("others can write it (mode %04o)", who.Mode)
	case errors.Is(err, statefile.ErrNotDirectory):
		why = statefile.ErrNotDirectory.Error()
	case errors.Is(err, syscall.ELOOP):
		why = "a symbolic link"
	case errors.Is(err, statefile.ErrNotRegular), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENXIO):
		why = "not a regular file"
	default:
		return err
	}
	return fmt.Errorf("%s: %w: %s", path, ErrUnsafe, why)
}

// lock makes the journal ours alone until the file is closed.
func lock(d *statefile.Dir, name string) (*os.File, error) {
	f, err := d.Lock(name + ".lock")
	if locked := (*statefile.LockedError)(nil); errors.As(err, &locked) {
		pid, _ := strconv.Atoi(locked.Note)
		return nil, &RunningError{Pid: max(pid, 0), lock: locked.Info}
	}
	if err != nil {
		return nil, notSafe(err)
	}
	// The number is for people. A full disk is no reason not to lock.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}
