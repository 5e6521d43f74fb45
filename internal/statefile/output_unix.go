//go:build !windows

package statefile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Output is what lines are appended to: a regular file, a terminal or another
// character device, or a pipe. A line that nobody takes for a second is lost, and
// so are all after it until one is taken; a pipe that nobody reads is tried again.
// A disk has as long as any file. What is lost is counted.
type Output struct {
	// Patience is how long a line waits for who reads; -1 is for ever.
	Patience time.Duration
	// Missing makes the line that stands in place of those that were lost; nil:
	// none does.
	Missing func(lost int, why error) string

	mu      sync.Mutex // over all that follows
	path    string     // "" if it cannot be opened again
	file    *os.File
	regular bool
	doubt   error

	stuck <-chan diskWrite // one that the disk has not answered; nil: none

	full bool // the line before was not taken
	torn bool // what was written last is no whole line
	lost int
	why  error
	next time.Time // when a pipe that nobody reads is opened again
}

// Why lines are lost.
var (
	ErrNotRead = errors.New("nobody reads the pipe")
	ErrFull    = errors.New("who reads them does not keep up")
)

// Append opens a file to append lines to, or makes one that all can read.
func Append(path string) (*Output, error) {
	o := &Output{Patience: patience, path: path}
	if err := o.open(); err != nil && !errors.Is(err, ErrNotRead) {
		return nil, err
	}
	return o, nil
}

// AppendTo appends lines to a file that is open, and is not closed.
func AppendTo(f *os.File) *Output {
	info, err := f.Stat()
	return &Output{Patience: patience, file: f, regular: err == nil && info.Mode().IsRegular()}
}

// Doubt says what speaks against the file, although lines go there: that nobody
// reads it, or that others can write it.
func (o *Output) Doubt() error {
	if o.doubt == nil {
		return nil
	}
	return &RefusalError{o.path, o.doubt}
}

func (o *Output) open() error {
	o.next = time.Now().Add(patience)
	type opened struct {
		file    *os.File
		regular bool
		doubt   error
	}
	is, err := Within(o.path, func(ctx context.Context) (opened, error) {
		f, info, err := open(ctx, o.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644, permitsLines)
		is := opened{file: f}
		if err == nil && info.Mode().IsRegular() {
			is.regular, is.doubt = true, doubtful(o.path, info)
		}
		return is, err
	}, func(is opened) { is.file.Close() })
	if errors.Is(err, unix.ENXIO) { // of a pipe; all else was refused
		err = ErrNotRead
	}
	if err != nil {
		o.doubt = err
		return err
	}
	o.file, o.regular, o.doubt = is.file, is.regular, is.doubt
	return nil
}

// doubtful says who else decides what becomes of a regular file: who can write
// it, or put another one in its place.
func doubtful(path string, info fs.FileInfo) error {
	if err := Foreign(info); err != nil {
		return err
	}
	if WritableByAll(info) {
		return errors.New("everybody can write it")
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return nil // it was there just now
	}
	if err := Foreign(dir); err != nil {
		return fmt.Errorf("its directory %w", err)
	}
	if WritableByAll(dir) && dir.Mode()&fs.ModeSticky == 0 {
		return errors.New("everybody can write its directory")
	}
	return nil
}

// permitsLines is the rule for what a path leads to.
func permitsLines(path string, info fs.FileInfo) error {
	_, own := ownDescriptor(path)
	switch mode := info.Mode(); {
	case mode.IsRegular(), mode&(fs.ModeNamedPipe|fs.ModeCharDevice) != 0, own && mode&fs.ModeSocket != 0:
		return nil
	}
	return &RefusalError{path, errors.New("not a regular file, a pipe or a terminal")}
}

// Write writes whole lines. The error is that of the last one that was lost.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil && (o.path == "" || time.Now().Before(o.next) || o.open() != nil) {
		return 0, o.lose(p, ErrNotRead)
	}
	if _, err := o.lines(o.gap()); err != nil {
		return 0, o.lose(p, err)
	}
	o.lost = 0
	n, err := o.lines(p)
	if err != nil {
		return n, o.lose(p[n:], err)
	}
	return n, nil
}

// gap returns what stands in place of the lines that were lost.
func (o *Output) gap() []byte {
	text := ""
	if o.torn {
		text = "\n"
	}
	if o.lost > 0 && o.Missing != nil {
		text += o.Missing(o.lost, o.why) + "\n"
	}
	return []byte(text)
}

// lose counts lines that were not taken.
func (o *Output) lose(p []byte, why error) error {
	o.lost += max(1, bytes.Count(p, []byte("\n")))
	o.why = why
	return why
}

// lines writes lines: at once to a regular file, one by one to what may be full.
func (o *Output) lines(p []byte) (n int, err error) {
	if o.regular {
		n, err = o.toDisk(p)
	}
	for line := range bytes.Lines(p[n:]) {
		if o.regular || err != nil {
			break
		}
		var k int
		k, err = o.line(line)
		n += k
	}
	if n > 0 {
		o.torn = p[n-1] != '\n'
	}
	return n, err
}

// toDisk writes to a regular file, and does not wait for a disk that does not
// answer: until it does all else is lost.
func (o *Output) toDisk(p []byte) (int, error) {
	if o.Patience < 0 {
		n, err := o.file.Write(p)
		return n, cause(err)
	}
	if o.stuck != nil {
		select {
		case <-o.stuck:
			o.stuck = nil
		default:
			return 0, ErrNoAnswer
		}
	}
	written := make(chan diskWrite, 1)
	go func(f *os.File, p []byte) {
		n, err := f.Write(p)
		written <- diskWrite{n, err}
	}(o.file, bytes.Clone(p)) // the caller may use p again
	limit := time.NewTimer(Limit)
	defer limit.Stop()
	select {
	case w := <-written:
		return w.n, cause(w.err)
	case <-limit.C:
		o.stuck = written
		return 0, ErrNoAnswer
	}
}

// diskWrite is what became of one.
type diskWrite struct {
	n   int
	err error
}

// atomic is how much a pipe takes at once if it has room at all: PIPE_BUF.
const atomic = 4096

// line writes a line, piece by piece, when there is room.
func (o *Output) line(p []byte) (n int, err error) {
	for len(p) > 0 {
		wait := o.Patience
		if o.full {
			wait = 0
		}
		if o.full = !o.hasRoom(wait); o.full {
			return n, ErrFull
		}
		if o.Patience >= 0 { // somebody else may have filled it since
			_ = o.file.SetWriteDeadline(time.Now().Add(patience))
		}
		k, err := o.file.Write(p[:min(len(p), atomic)])
		n += k
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			o.full = true
			return n, ErrFull
		case errors.Is(err, unix.EPIPE):
			o.unread()
			return n, ErrNotRead
		case err != nil:
			return n, cause(err)
		}
		p = p[k:]
	}
	return n, nil
}

// unread lets go of a pipe whose reader is gone.
func (o *Output) unread() {
	if o.path != "" {
		o.file.Close()
		o.file, o.next = nil, time.Now().Add(patience)
	}
}

// hasRoom waits until the file takes something, or fails.
func (o *Output) hasRoom(wait time.Duration) (ready bool) {
	c, err := o.file.SyscallConn()
	if err != nil {
		return true // closed: writing says so
	}
	until := time.Now().Add(wait)
	_ = c.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		for err = unix.EINTR; err == unix.EINTR; {
			timeout := -1
			if wait >= 0 {
				timeout = int((max(time.Until(until), 0) + time.Millisecond - 1).Milliseconds())
			}
			var n int
			n, err = unix.Poll(fds, timeout)
			ready = n > 0 || err != nil
		}
	})
	return ready
}

// TakeOver counts what another one has lost, in whose place this one comes. If it
// is the same file nobody waits for its reader once more.
func (o *Output) TakeOver(other *Output) {
	other.mu.Lock()
	lost, why, full := other.lost, other.why, other.full && other.path == o.path
	other.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if lost > 0 {
		o.lost, o.why, o.full = o.lost+lost, why, full
	}
}

// Stat says what the file is, if it is open.
func (o *Output) Stat() (fs.FileInfo, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file == nil {
		return nil, ErrNotRead
	}
	return o.file.Stat()
}

// Close closes the file, unless AppendTo was given it, or somebody waits for a
// disk with it.
func (o *Output) Close() error {
	if !o.mu.TryLock() {
		return nil
	}
	defer o.mu.Unlock()
	if o.path == "" || o.file == nil {
		return nil
	}
	return o.file.Close()
}

// cause returns an error without the path.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", p.Op, p.Err)
	}
	return err
}
