package server

import (
	"bytes"
	"errors"
	"io"
)

// maxMessage is how long a call may be, in octets, without the NUL behind it.
const maxMessage = 64 << 10

// firstBuffer is what a connection takes until its peer sends more.
const firstBuffer = 1 << 10

var errTooLong = errors.New("a message of more than 64 KiB")

// framer divides what a peer sends into messages: JSON with a NUL behind it.
type framer struct {
	r       io.Reader
	buf     []byte
	scanned int // octets of buf that hold no NUL
}

// next returns the next message, which is valid until the next call. The error
// is io.EOF if the peer has hung up between messages, io.ErrUnexpectedEOF if in
// one.
func (f *framer) next() ([]byte, error) {
	for {
		if n := bytes.IndexByte(f.buf[f.scanned:], 0); n >= 0 {
			message := f.buf[:f.scanned+n]
			f.buf, f.scanned = f.buf[f.scanned+n+1:], 0
			return message, nil
		}
		f.scanned = len(f.buf)
		if err := f.more(); err != nil {
			if err == io.EOF && len(f.buf) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// more reads once behind what there is, at most as much as the longest message
// takes.
func (f *framer) more() error {
	if len(f.buf) > maxMessage {
		return errTooLong
	}
	if len(f.buf) == cap(f.buf) {
		grown := make([]byte, len(f.buf), min(max(2*len(f.buf), firstBuffer), maxMessage+1))
		copy(grown, f.buf)
		f.buf = grown
	}
	n, err := f.r.Read(f.buf[len(f.buf):cap(f.buf)])
	f.buf = f.buf[:len(f.buf)+n]
	if n > 0 {
		err = nil // it comes again with the next read
	}
	return err
}
