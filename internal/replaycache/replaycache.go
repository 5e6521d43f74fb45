package replaycache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"knockd/internal/statefile"
)

// Token is what is used: a hash of it.
type Token = [32]byte

// ErrUsed is the error of a token that was used. As that of one at or below the
// floor, of which nobody can say any more that it was not, it satisfies
// errors.Is(err, fs.ErrExist).
var ErrUsed error = &usedError{"used before"}

type usedError struct{ text string }

func (e *usedError) Error() string        { return e.text }
func (e *usedError) Is(target error) bool { return target == fs.ErrExist }

func belowFloor(floor int64) error {
	return &usedError{"not newer than " + time.Unix(floor, 0).UTC().Format("2006-01-02 15:04:05 UTC") +
		": what was used up to then is no longer remembered"}
}

// maxTokens bounds the memory and the file. Beyond, the oldest go and the floor
// rises, whatever their age. A variable for the tests' sake.
var maxTokens = 1 << 16

// rewriteLines is how many lines a file may have before it is worth a rewrite.
const rewriteLines = 1024

// Store is an open file of tokens. It may be used by many goroutines.
type Store struct {
	path   string
	lock   *os.File
	origin Origin

	writer sync.WaitGroup // one at most writes
	log    *statefile.Log // the writer's; nil when closed

	mu      sync.Mutex
	used    map[Token]int64 // Unix seconds
	floor   int64
	age     time.Duration
	now     time.Time // when the last token was entered
	next    *batch    // tokens that wait for the disk
	lines   int       // in the file, and waiting
	limit   int       // of lines, before the next rewrite
	dirty   bool      // the file is not what it should be: write it anew
	writing bool      // the writer is at work, and takes the next batch too
	closed  bool
}

// batch is a number of tokens that reach the disk with one sync.
type batch struct {
	tokens int
	lines  []byte
	done   chan struct{}
	err    error
}

// wait waits until the batch is on disk, or cannot be.
func (b *batch) wait() error {
	<-b.done
	return b.err
}

// Origin says where a store comes from.
type Origin uint8

const (
	// Found is a store that was there.
	Found Origin = iota
	// New is the first one at its place.
	New
	// Remade is in the place of one that was taken away.
	Remade
)

// Open opens the store, or makes one whose floor is now, or now and the age if
// there was one before: what is at or below it cannot be told from a replay. A
// token may be forgotten when its time is older than
// now less twice the age. A file that cannot be read whole is an error and stays
// as it is, but for a last line that a crash cut short.
func Open(path string, age time.Duration, now time.Time) (*Store, error) {
	return statefile.Within(path, func(context.Context) (*Store, error) { return load(path, age, now) }, func(s *Store) { s.Close() })
}

func load(path string, age time.Duration, now time.Time) (*Store, error) {
	dir, err := statefile.OpenDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("lock store: %w", err)
	}
	defer dir.Close()
	name := filepath.Base(path) + ".lock"
	before := dir.Has(name)
	lock, err := lock(dir, name)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, lock: lock, used: map[Token]int64{}, age: age, next: newBatch(), dirty: true}
	if err := s.start(dir, before, now); err != nil {
		if s.log != nil {
			s.log.Close()
		}
		lock.Close()
		return nil, err
	}
	return s, nil
}

// start reads the store; before says that there was one at some time.
func (s *Store) start(dir *statefile.Dir, before bool, now time.Time) error {
	switch err := s.read(dir); {
	case errors.Is(err, fs.ErrNotExist) && before:
		s.origin, s.floor = Remade, now.Add(s.age).Unix()
	case errors.Is(err, fs.ErrNotExist):
		s.origin, s.floor = New, now.Unix()
	case err != nil:
		return err
	}
	return s.rewrite(now)
}

// Origin says where the store comes from.
func (s *Store) Origin() Origin { return s.origin }

// Floor returns the time at or below which nothing is new, in whole seconds.
func (s *Store) Floor() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Unix(s.floor, 0)
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// Enter enters a token with its own time (whole seconds count) and does not
// wait: from now on it is used. The function that it returns waits until that is
// safe on disk, which it will be whether somebody waits or not; its error says
// that the file cannot be written, and the token is used up all the same. An
// error of Enter for which errors.Is(err, fs.ErrExist) holds says that the token
// was used before or is not above the floor.
func (s *Store) Enter(token Token, stamp, now time.Time) (safe func() error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("%s: %w", s.path, fs.ErrClosed)
	}
	if _, ok := s.used[token]; ok {
		return nil, ErrUsed
	}
	if stamp.Unix() <= s.floor {
		return nil, belowFloor(s.floor)
	}
	s.used[token] = stamp.Unix()
	s.now = now
	s.gather(token, stamp.Unix())
	if !s.writing {
		s.writing = true
		s.writer.Go(s.writeAll)
	}
	return s.next.wait, nil
}

// gather puts a token into the next batch. A disk that does not answer costs a
// bounded amount of memory.
func (s *Store) gather(token Token, stamp int64) {
	s.next.tokens++
	if s.lines++; s.lines <= s.limit { // else the file is written anew
		s.next.lines = appendLine(s.next.lines, stamp, token)
	}
	if len(s.used) > 2*maxTokens {
		s.forget(s.now)
	}
}

// writeAll brings to the disk what waits. While it writes, the next batch
// gathers.
func (s *Store) writeAll() {
	for {
		s.mu.Lock()
		b := s.next
		if b.tokens == 0 {
			s.writing = false
			s.mu.Unlock()
			return
		}
		s.next = newBatch()
		anew := s.dirty || s.lines > s.limit || len(s.used) > maxTokens
		now := s.now
		s.mu.Unlock()
		if anew || !s.log.Intact() {
			b.err = s.rewrite(now)
		} else {
			b.err = s.append(b.lines)
		}
		close(b.done)
	}
}

func (s *Store) append(lines []byte) error {
	err := s.log.Append(lines)
	if err == nil {
		err = s.log.Sync()
	}
	if err != nil {
		s.mu.Lock()
		s.dirty = true
		s.mu.Unlock()
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	return nil
}

// SetAge changes the age that Open was given, as after a reload.
func (s *Store) SetAge(age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.age = age
}

// Close waits for what is being written, and writes the file once more if it is
// not what it should be. Later calls of Enter fail.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.writer.Wait()
	var err error
	if s.log != nil {
		if s.dirty || !s.log.Intact() {
			err = s.rewrite(time.Unix(0, 0)) // forgets nothing
		}
		err = errors.Join(err, s.log.Close())
		s.log = nil
	}
	return errors.Join(err, s.lock.Close())
}
