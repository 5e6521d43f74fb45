package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// maxRecord is the largest record that is taken for one: libpcap's limit for
// the largest packets (USB), 128 MiB, and something for options.
const maxRecord = 128<<20 + 1<<16

// frameLimit is the largest record that is looked at: no IP packet that could be
// a knock fills it. Larger ones are passed over, so that a file takes no more
// memory.
const frameLimit = 1 << 20

// maxInterfaces is how many interfaces a section may have.
const maxInterfaces = 4096

// frames hands the records of a capture file on to the reader that decodes
// them, each only when all of it is there. In this way it knows where a file
// ends that was cut short, and the link types, of which gopacket keeps 8 bits.
type frames struct {
	r      *bufio.Reader
	next   func(*frames) (record, error) // looks at the header of the next record
	order  binary.ByteOrder
	frame  []byte // the current record
	rest   []byte // what of it was not yet handed on
	offset int64  // of the octet after the current record
	links  []linkType
	snap   uint32              // the first interface's snapshot length, 0 for none
	check  func(*frames) error // looks at the whole record, if not nil
}

// record is what a header says of its record.
type record struct {
	length int64 // octets, with the header
	vital  bool  // without it those that follow cannot be read
}

// errCutShort says that the file ends within a record.
type errCutShort struct{ record int64 }

func (e errCutShort) Error() string {
	return fmt.Sprintf("cut short: the record at octet %d is not complete", e.record)
}

// malformed returns the error of a record that cannot be one.
func (f *frames) malformed(format string, args ...any) error {
	return fmt.Errorf("malformed: the record at octet %d %s", f.offset, fmt.Sprintf(format, args...))
}

// Read implements io.Reader: it returns octets of one record at a time.
func (f *frames) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		if err := f.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// advance reads the next record.
func (f *frames) advance() error {
	for {
		next, err := f.next(f)
		if err == nil && (next.length > maxRecord || next.vital && next.length > frameLimit) {
			err = f.malformed("claims %d octets", next.length)
		}
		passed := next.length > frameLimit
		switch {
		case err != nil:
		case passed:
			err = f.pass(int(next.length))
		default:
			err = f.fill(int(next.length))
		}
		if err == nil && !passed && f.check != nil {
			err = f.check(f)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errCutShort{f.offset}
		}
		if err != nil {
			return err
		}
		f.offset += next.length
		if !passed {
			f.rest = f.frame
			return nil
		}
	}
}

// ready reports whether the next record can be read without waiting.
func (f *frames) ready() bool {
	if f.r.Buffered() < headerLen {
		return false
	}
	next, err := f.next(f)
	return err != nil || int64(f.r.Buffered()) >= next.length
}

// pass takes length octets and looks at none.
func (f *frames) pass(length int) error {
	if _, err := f.r.Discard(length); errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	} else {
		return err
	}
}

// fill reads length octets into f.frame.
func (f *frames) fill(length int) error {
	f.frame = slices.Grow(f.frame[:0], length)[:length]
	if _, err := io.ReadFull(f.r, f.frame); err != nil {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// peek returns the next n octets without taking them. At the end of the file
// the error is io.EOF.
func (f *frames) peek(n int) ([]byte, error) {
	b, err := f.r.Peek(n)
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, io.EOF) && len(b) == 0:
		return nil, io.EOF
	case errors.Is(err, io.EOF):
		return nil, io.ErrUnexpectedEOF
	}
	return nil, err
}
