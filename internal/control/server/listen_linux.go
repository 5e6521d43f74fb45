package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"knockd/internal/statefile"
)

// A LivingError says that somebody listens on a socket already.
type LivingError struct {
	Path string
	PID  int32 // 0: not to be seen from here
}

func (e *LivingError) Error() string {
	if e.PID == 0 {
		return e.Path + ": another program listens there"
	}
	return fmt.Sprintf("%s: another program listens there (pid %d)", e.Path, e.PID)
}

// Socket is where to listen.
type Socket struct {
	Path string
	// GID is the group whose members may connect; -1: root alone may.
	GID int
	// MakeDir has the directory made that is not there.
	MakeDir bool
}

// Listener listens on a Socket.
type Listener struct {
	*net.UnixListener
	// Doubt is why root alone may connect although a group is to; nil: no doubt.
	Doubt error

	path string
	info fs.FileInfo
}

// Listen makes a socket and listens. One that nobody listens on any more is
// replaced; where somebody does the error is a *LivingError. Nobody but root and
// the user of this process can put another one in its place: a directory in
// which others could is refused. It waits for no disk that does not answer.
func Listen(s Socket) (*Listener, error) {
	return statefile.Within(s.Path, func(context.Context) (*Listener, error) { return s.listen() }, func(l *Listener) { l.Close() })
}

func (s Socket) listen() (*Listener, error) {
	dir := filepath.Dir(s.Path)
	if s.MakeDir {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	// It gets its owner and mode under another name, so that it never has others
	// under its own.
	hidden := filepath.Join(dir, ".c"+rand.Text()[:8])
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, s.fault(err)
	}
	l.SetUnlinkOnClose(false)
	made := &Listener{UnixListener: l, path: hidden}
	if err := s.place(made); err != nil {
		l.Close()
		_ = os.Remove(hidden)
		return nil, s.fault(err)
	}
	return made, nil
}

// fault names the socket, and not what stands for it.
func (s Socket) fault(err error) error {
	var (
		link *os.LinkError
		path *fs.PathError
		op   *net.OpError
	)
	switch {
	case errors.As(err, &link):
		err = link.Err
	case errors.As(err, &path):
		err = fmt.Errorf("%s: %w", path.Op, path.Err)
	case errors.As(err, &op):
		err = op.Err
	default:
		return err
	}
	return fmt.Errorf("%s: %w", s.Path, err)
}

// place gives a socket its owner, mode and name.
func (s Socket) place(l *Listener) error {
	mode := fs.FileMode(0o600)
	if s.GID >= 0 {
		if err := os.Lchown(l.path, -1, s.GID); err != nil {
			l.Doubt = fmt.Errorf("%s is for root alone: give it to group %d: %w", s.Path, s.GID, errors.Unwrap(err))
		} else {
			mode = 0o660
		}
	}
	if err := os.Chmod(l.path, mode); err != nil {
		return err
	}
	info, err := os.Lstat(l.path)
	if err != nil {
		return err
	}
	if err := s.name(l.path); err != nil {
		return err
	}
	l.path, l.info = s.Path, info
	return nil
}

// name moves a socket to its path, unless somebody listens there.
func (s Socket) name(hidden string) error {
	err := unix.Link(hidden, s.Path)
	if err == nil {
		return os.Remove(hidden)
	}
	if !errors.Is(err, fs.ErrExist) {
		return &os.LinkError{Op: "link", Old: hidden, New: s.Path, Err: err}
	}
	if err := s.dead(); err != nil {
		return err
	}
	return os.Rename(hidden, s.Path)
}

// dead returns an error unless there is a socket that nobody listens on.
func (s Socket) dead() error {
	if err := s.other(); err != nil {
		return err
	}
	c, err := net.DialTimeout("unix", s.Path, time.Second)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	living := &LivingError{Path: s.Path}
	if err == nil {
		defer c.Close()
		if peer, err := peerOf(c.(*net.UnixConn)); err == nil {
			living.PID = peer.PID
		}
	}
	return living
}

// Close stops listening and takes the socket away, unless another one is there
// by now.
func (l *Listener) Close() error {
	if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.info) {
		_ = os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

// Check says why Listen would fail, but for somebody who listens there. It changes
// nothing.
func (s Socket) Check() error {
	if err := checkDir(filepath.Dir(s.Path)); err != nil {
		return err
	}
	return s.other()
}

// other returns an error if there is something in the socket's place that is none.
func (s Socket) other() error {
	info, err := os.Lstat(s.Path)
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s: there is something else that is no socket", s.Path)
	}
	return nil
}

// checkDir says who else can put a file into a directory, or another directory in
// its place.
func checkDir(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for _, path := range []string{dir, real} {
		for at := path; ; at = filepath.Dir(at) {
			info, err := os.Stat(at)
			switch {
			case err != nil:
				return err
			case at != path && info.Mode()&fs.ModeSticky != 0: // others cannot rename what is in it
				err = statefile.Foreign(info)
			default:
				err = statefile.Writable(info)
			}
			if err != nil {
				return &statefile.RefusalError{Path: at, Err: err}
			}
			if at == filepath.Dir(at) {
				break
			}
		}
	}
	return nil
}
