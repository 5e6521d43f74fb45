package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"

	"knockd/internal/knock"
)

// ErrExhausted: no line of a one-time file is left.
var ErrExhausted = errors.New("no unused sequence left")

// OneTime is an Opener that sends the next unused line of a file each time.
// The file has the format of knockd's one_time_sequences: a sequence on each
// line; a line whose first character is # is used.
type OneTime struct {
	Pace
	Path string
	// OnSkip, if set, is called for each line that is neither used nor a
	// sequence. Such a line is left as it is.
	OnSkip func(line int, err error)
}

// Ask takes a line and sends it, the first step of odd repeats twice.
func (o *OneTime) Ask(ctx context.Context, hosts []netip.Addr, repeat int) error {
	steps, err := o.take()
	if err != nil {
		return fmt.Errorf("one-time file %s: %w", o.Path, err)
	}
	return (&Sequence{o.Pace, steps}).Ask(ctx, hosts, repeat)
}

// Peek returns the next unused line and its number, and leaves it unused.
func (o *OneTime) Peek() ([]knock.Step, int, error) {
	text, err := os.ReadFile(o.Path)
	if err != nil {
		return nil, 0, fmt.Errorf("one-time file: %w", err)
	}
	line, err := o.next(text)
	if err != nil {
		return nil, 0, fmt.Errorf("one-time file %s: %w", o.Path, err)
	}
	return line.steps, line.number, nil
}

// take marks the next unused line as used, on the disk, and returns it. The
// lock makes two calls at once take different lines.
func (o *OneTime) take() ([]knock.Step, error) {
	file, err := os.OpenFile(o.Path, os.O_RDWR, 0)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer file.Close() // and with it the lock
	if err := lock(file); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, withoutPath(err)
	}
	line, err := o.next(text)
	if err != nil {
		return nil, err
	}
	if _, err := file.WriteAt([]byte{'#'}, line.offset); err != nil {
		return nil, withoutPath(err)
	}
	if err := file.Sync(); err != nil {
		return nil, withoutPath(err)
	}
	return line.steps, nil
}

// oneTimeLine is a line that can be used.
type oneTimeLine struct {
	steps  []knock.Step
	number int
	offset int64
}

// next finds the first unused line. A # after blanks makes a comment too.
func (o *OneTime) next(text []byte) (oneTimeLine, error) {
	var offset int64
	number := 0
	for line := range bytes.Lines(text) {
		start := offset
		offset += int64(len(line))
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		steps, err := ParseSequence(string(line))
		if err == nil {
			return oneTimeLine{steps, number, start}, nil
		}
		if o.OnSkip != nil {
			o.OnSkip(number, err)
		}
	}
	return oneTimeLine{}, ErrExhausted
}

// withoutPath drops the file name that the caller says itself.
func withoutPath(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Op, path.Err)
	}
	return err
}
