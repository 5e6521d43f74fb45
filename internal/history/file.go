package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"knockd/internal/event"
	"knockd/internal/statefile"
)

// file is where the visits are kept. It is the writer's.
type file struct {
	path     string
	lock     *os.File       // nil: the file is not ours
	log      *statefile.Log // nil: to be written anew
	budget   budget
	reported bool          // that it fails
	pause    time.Duration // then: before it is tried again
}

// Why a file is not used.
var (
	errForeign = errors.New("it holds something else, and stays as it is")
	errShared  = errors.New("another process writes it")
	errGone    = errors.New("another file is in its place")
)

// own is a file that nobody else writes, as it was found.
type own struct {
	lock *os.File
	kept kept
}

// take reads what a file holds and locks it; one that is not there holds nothing.
func take(path string) (o own, err error) {
	dir, err := statefile.MakeDir(filepath.Dir(path))
	if err != nil {
		return o, err
	}
	defer dir.Close()
	name := filepath.Base(path)
	log := dir.Log(name)
	text, err := log.Open(0, maxFile)
	switch {
	case err == nil:
		log.Close()
	case !errors.Is(err, fs.ErrNotExist):
		return o, err
	}
	if o.kept = parse(text); o.kept.foreign {
		return o, fmt.Errorf("%s: %w", path, errForeign)
	}
	o.lock, err = dir.Lock(name + ".lock")
	if errors.As(err, new(*statefile.LockedError)) {
		err = fmt.Errorf("%s: %w", path, errShared)
	}
	return o, err
}

// Check says why a file could not be used, but for a process that uses it. It
// changes nothing.
func Check(path string) error {
	err := statefile.Do(path, func(context.Context) error {
		return statefile.CheckDir(filepath.Dir(path), filepath.Base(path), filepath.Base(path)+".lock")
	})
	if err != nil {
		return err
	}
	text, _, err := statefile.Source{Max: maxFile}.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && parse(text).foreign:
		return fmt.Errorf("%s: %w", path, errForeign)
	}
	return err
}

// maxFile bounds what is read of a file, in octets: more than Settings allow.
const maxFile = MaxOctets + 1<<20

// attach has the file be the one at a path, and takes in what it holds.
func (h *History) attach(f *file, path string) error {
	f.letGo()
	if f.path != path {
		f.path, f.reported = path, false
	}
	if path == "" {
		return nil
	}
	o, err := statefile.Within(path, func(context.Context) (own, error) { return take(path) }, func(o own) { o.lock.Close() })
	if err != nil {
		return err
	}
	f.lock = o.lock
	h.merge(o.kept.visits)
	if o.kept.damaged > 0 {
		h.log(event.HistoryDamaged{File: path, Lines: o.kept.damaged})
	}
	return nil
}

// letGo closes the file.
func (f *file) letGo() {
	if f.lock == nil {
		return
	}
	lock, log := f.lock, f.log
	f.lock, f.log = nil, nil
	_ = statefile.Do(f.path, func(context.Context) error {
		if log != nil {
			log.Close()
		}
		return lock.Close()
	})
}

// append writes lines behind those that the file has.
func (f *file) append(lines []byte) error {
	log := f.log
	err := statefile.Do(f.path, func(context.Context) error {
		if !log.Intact() {
			return errGone
		}
		return log.Append(lines)
	})
	if err != nil {
		f.log = nil
	}
	return err
}

// replace writes the file anew.
func (f *file) replace(text []byte) error {
	old := f.log
	f.log = nil
	log, err := statefile.Within(f.path, func(context.Context) (*statefile.Log, error) {
		if old != nil {
			old.Close()
		}
		return statefile.Replace(f.path, text)
	}, func(l *statefile.Log) { l.Close() })
	f.log = log
	return err
}

// budget bounds what is written in the long run: the size of the file at once,
// and once more in each hour.
type budget struct {
	spent int64 // not earned back yet
	at    time.Time
}

const budgetTime = time.Hour

func (b *budget) spend(now time.Time, size, octets int64) {
	b.earn(now, size)
	b.spent += octets
}

func (b *budget) earn(now time.Time, size int64) {
	if passed := now.Sub(b.at); passed > 0 {
		b.spent = max(b.spent-int64(float64(size)*passed.Seconds()/budgetTime.Seconds()), 0)
	}
	b.at = now
}

// wait returns how long the next octets have to wait.
func (b *budget) wait(now time.Time, size, octets int64) time.Duration {
	b.earn(now, size)
	over := b.spent + min(octets, size) - size
	return time.Duration(float64(max(over, 0)) / float64(size) * float64(budgetTime))
}
