package client

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"knockd/internal/onetime"
	"knockd/internal/statefile"
)

// OneTime is an Opener that sends the next unused line of a file of one-time
// sequences each time. The line is marked as used, on the disk, before the
// first packet leaves.
type OneTime struct {
	Pace
	Path string
	// OnSkip, if set, is called with the number of each line that is neither
	// used nor a sequence.
	OnSkip func(line int)
}

// Ask takes a line and sends it, the first step of odd repeats twice. The
// error of a file without lines is onetime.ErrExhausted.
func (o *OneTime) Ask(ctx context.Context, hosts []netip.Addr, repeat int) error {
	line, err := o.file().Take()
	if err != nil {
		return o.fault(err)
	}
	return (&Sequence{o.Pace, line.Steps}).Ask(ctx, hosts, repeat)
}

// Peek returns the next unused line, and leaves it unused.
func (o *OneTime) Peek() (onetime.Line, error) {
	line, err := o.file().Next()
	if err != nil {
		return line, o.fault(err)
	}
	return line, nil
}

func (o *OneTime) file() *onetime.File {
	return &onetime.File{Path: o.Path, Parse: ReadSequence, Skipped: o.OnSkip}
}

// fault says which file an error is about, once.
func (o *OneTime) fault(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = fmt.Errorf("%s: %w", path.Op, path.Err)
	}
	if refusal := (*statefile.RefusalError)(nil); errors.As(err, &refusal) {
		err = refusal.Err
	}
	return fmt.Errorf("one-time file %s: %w", o.Path, err)
}
