package statefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Log is a file of lines that grows at its end, and is at times replaced by
// one that holds only what still counts. One goroutine may use it, and another
// one call Append and Size meanwhile, if it does so not beside Commit.
type Log struct {
	dir  *Dir
	name string
	file *os.File
	size int64 // of all that was written whole
}

// Log returns a file of the directory, which is not open yet.
func (d *Dir) Log(name string) *Log { return &Log{dir: d, name: name} }

// Open opens the file and returns what it holds, at most so many octets (0: as
// many as there are). Flag is as in Dir.Open.
func (l *Log) Open(flag int, most int64) ([]byte, error) {
	f, err := l.dir.Open(l.name, flag)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && most > 0 && info.Size() > most {
		err = &RefusalError{f.Name(), Source{Max: most}.tooLong()}
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	l.file, l.size = f, int64(len(text))
	return text, nil
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }

// Path returns the path of the file.
func (l *Log) Path() string { return l.dir.Path(l.name) }

// Size returns how long the file is.
func (l *Log) Size() int64 { return l.size }

// Cut takes away what follows after so many octets: a line that a crash, or a
// full disk, has left without its end.
func (l *Log) Cut(size int64) error {
	l.size = size
	return l.file.Truncate(size)
}

// Append writes whole lines, and nothing of them if they cannot be written
// whole.
func (l *Log) Append(lines []byte) error {
	if _, err := l.file.WriteAt(lines, l.size); err != nil {
		_ = l.file.Truncate(l.size)
		return err
	}
	l.size += int64(len(lines))
	return nil
}

// Sync brings to the disk what was appended.
func (l *Log) Sync() error {
	if err := unix.Fdatasync(int(l.file.Fd())); err != nil {
		return &fs.PathError{Op: "sync", Path: l.Path(), Err: err}
	}
	return nil
}

// Intact reports whether the path still leads to the file as it was left: else
// somebody took it away or put another one there.
func (l *Log) Intact() bool {
	mine, err := l.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(l.Path())
	return err == nil && os.SameFile(mine, there) && mine.Size() == l.size
}

// Successor is a file that is about to come in a Log's place.
type Successor struct {
	log  *Log
	file *os.File
	size int64
	from int64 // the Log up to there is in it
}

// Successor writes a file beside the Log, and syncs it: its text stands for the
// Log as far as from. Lines may be appended to the Log meanwhile.
func (l *Log) Successor(text []byte, from int64) (*Successor, error) {
	name := l.name + ".new"
	// It may be of a process that died while it wrote it.
	if err := l.dir.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &fs.PathError{Op: "remove", Path: l.dir.Path(name), Err: err}
	}
	f, err := l.dir.Open(name, os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	s := &Successor{l, f, int64(len(text)), from}
	if _, err = f.WriteAt(text, 0); err == nil {
		err = f.Sync()
	}
	if err != nil {
		s.Discard()
		return nil, err
	}
	return s, nil
}

// Commit puts the file in the Log's place, with what was appended to that
// meanwhile. If it fails the Log is as before.
func (s *Successor) Commit() error {
	l := s.log
	tail := make([]byte, l.size-s.from)
	if len(tail) > 0 {
		if _, err := l.file.ReadAt(tail, s.from); err != nil {
			return err
		}
	}
	if _, err := s.file.WriteAt(tail, s.size); err != nil {
		return err
	}
	if err := l.dir.rename(l.name+".new", l.name); err != nil {
		return err
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.size = s.file, s.size+int64(len(tail))
	return nil
}

// Discard takes away a file that does not come in the Log's place.
func (s *Successor) Discard() {
	s.file.Close()
	_ = s.log.dir.remove(s.log.name + ".new")
}

// SyncName brings to the disk that the file is a new one.
func (l *Log) SyncName() error { return l.dir.dir.Sync() }

// Replace puts a file with a text in the place of what is at a path, in the
// directory that is there by then, and brings it to the disk.
func Replace(path string, text []byte) (*Log, error) {
	d, err := OpenDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		err = &fs.PathError{Op: "open", Path: path + ".new", Err: unix.ENOENT}
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	l := d.Log(filepath.Base(path))
	s, err := l.Successor(text, 0)
	if err != nil {
		return nil, err
	}
	if err := s.Commit(); err != nil {
		s.Discard()
		return nil, err
	}
	if err := l.SyncName(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
