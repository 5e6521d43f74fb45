package statefile

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"
)

// Limit is how long a file may take, from the opening to the last octet. A file
// system whose server is gone never answers, and no system call ends before it
// does.
const Limit = 5 * time.Second

// ErrNoAnswer is the error of a file that has taken longer than Limit, or stands
// in a directory with one that still holds up whoever asked for it before.
var ErrNoAnswer = errors.New("no answer in time")

// waiting counts, by directory, those that were given up and still wait for a
// file. As long as there is one nobody else asks for a file in that directory, so
// that neither they nor the waits add up, however many files there are.
var waiting = struct {
	sync.Mutex
	dirs map[string]int
}{dirs: map[string]int{}}

// place returns what holds up all files of a directory. Our own descriptors
// have nothing in common.
func place(path string) string {
	if _, own := ownDescriptor(path); own {
		return path
	}
	return filepath.Dir(path)
}

func wait(path string, n int) {
	dir := place(path)
	waiting.Lock()
	defer waiting.Unlock()
	if waiting.dirs[dir] += n; waiting.dirs[dir] == 0 {
		delete(waiting.dirs, dir)
	}
}

func awaited(path string) bool {
	waiting.Lock()
	defer waiting.Unlock()
	return waiting.dirs[place(path)] > 0
}

// Waiting reports whether somebody waits for a file that does not answer: a thread
// that does nothing else until then, and handles no signal.
func Waiting() bool {
	waiting.Lock()
	defer waiting.Unlock()
	return len(waiting.dirs) > 0
}

// Do calls a function that may have to wait for the file of that path. After
// Limit it returns ErrNoAnswer; the function goes on then, with a context that
// has ended.
func Do(path string, do func(ctx context.Context) error) error {
	_, err := Within(path, func(ctx context.Context) (struct{}, error) { return struct{}{}, do(ctx) }, nil)
	return err
}

// Within is Do for a function with a result, which is dropped if it comes too
// late; drop may be nil.
func Within[T any](path string, do func(ctx context.Context) (T, error), drop func(T)) (T, error) {
	return within(path, Limit, do, drop)
}

func within[T any](path string, limit time.Duration, do func(ctx context.Context) (T, error), drop func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	if awaited(path) {
		return *new(T), &fs.PathError{Op: "open", Path: path, Err: ErrNoAnswer}
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	results := make(chan result) // holds none: either somebody takes it or it is dropped
	go func() {
		value, err := do(ctx)
		select {
		case results <- result{value, err}:
		case <-ctx.Done():
			if drop != nil && err == nil {
				drop(value)
			}
			wait(path, -1)
		}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		wait(path, +1)
		return *new(T), &fs.PathError{Op: "open", Path: path, Err: ErrNoAnswer}
	}
}
