package server

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// chunks gives a text in pieces of some lengths, over and over.
type chunks struct {
	text    []byte
	lengths []byte
	next    int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.text) == 0 {
		return 0, io.EOF
	}
	n := len(c.text)
	if len(c.lengths) > 0 {
		n = int(c.lengths[c.next%len(c.lengths)]) + 1
		c.next++
	}
	n = copy(p, c.text[:min(n, len(c.text))])
	c.text = c.text[n:]
	return n, nil
}

func TestFrames(t *testing.T) {
	long := strings.Repeat("x", maxMessage)
	for _, c := range []struct {
		text string
		want []string
		err  error
	}{
		{"", nil, io.EOF},
		{"a\x00", []string{"a"}, io.EOF},
		{"\x00\x00", []string{"", ""}, io.EOF},
		{"a\x00b\x00c", []string{"a", "b"}, io.ErrUnexpectedEOF},
		{long + "\x00", []string{long}, io.EOF},
		{"a\x00" + long + "\x00b\x00", []string{"a", long, "b"}, io.EOF},
		{long + "x\x00", nil, errTooLong},
		{"a\x00" + long + "xx", []string{"a"}, errTooLong},
		{long, nil, io.ErrUnexpectedEOF},
	} {
		for _, lengths := range [][]byte{nil, {0}, {7, 255, 0}} {
			got, err := read(&framer{r: &chunks{text: []byte(c.text), lengths: lengths}})
			if !errors.Is(err, c.err) || strings.Join(got, "|") != strings.Join(c.want, "|") || len(got) != len(c.want) {
				t.Errorf("%d octets by %v: %d messages, %v; want %d, %v", len(c.text), lengths, len(got), err, len(c.want), c.err)
			}
		}
	}
}

// read returns all messages and the error behind them.
func read(f *framer) (all []string, err error) {
	for {
		message, err := f.next()
		if err != nil {
			return all, err
		}
		all = append(all, string(message))
	}
}

// FuzzFrames: however what is sent is cut up, the messages are what stands
// between the NULs, none is longer than it may be, and no more memory is taken.
func FuzzFrames(f *testing.F) {
	f.Add([]byte(`{"method":"a.b"}`+"\x00"), []byte{0}, uint16(0))
	f.Add([]byte("\x00\x00a\x00"), []byte{1, 2}, uint16(3))
	f.Add([]byte("x"), []byte{255}, uint16(0xffff))
	f.Add([]byte("x\x00"), []byte{}, uint16(0xffff))
	f.Fuzz(func(t *testing.T, text, lengths []byte, repeat uint16) {
		// Long ones are found by repeating the first octets.
		text = append(bytes.Repeat(text[:min(1, len(text))], 2*int(repeat)), text...)
		fr := &framer{r: &chunks{text: bytes.Clone(text), lengths: lengths}}
		rest := text
		for {
			message, err := fr.next()
			if cap(fr.buf) > maxMessage+1 {
				t.Fatalf("%d octets of memory", cap(fr.buf))
			}
			before, after, found := bytes.Cut(rest, []byte{0})
			switch {
			case err == nil && (!found || !bytes.Equal(message, before) || len(message) > maxMessage):
				t.Fatalf("%d octets, want %d", len(message), len(before))
			case err == nil:
				rest = after
				continue
			case errors.Is(err, errTooLong) && len(before) > maxMessage:
			case errors.Is(err, io.EOF) && len(rest) == 0:
			case errors.Is(err, io.ErrUnexpectedEOF) && !found && 0 < len(rest) && len(rest) <= maxMessage:
			default:
				t.Fatalf("%v before %d octets, found %v", err, len(before), found)
			}
			return
		}
	})
}

// FuzzCall: a message is a call with a method, or none; a parameter is never
// taken that was not given.
func FuzzCall(f *testing.F) {
	f.Add([]byte(`{"method":"knockd.control.Open","parameters":{"door":"ssh","address":"192.0.2.7","seconds":90}}`))
	f.Add([]byte(`{"method":"x","more":true,"oneway":true}`))
	f.Add([]byte(`{"method":"","parameters":null}`))
	f.Add([]byte(`[[[[{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseCall(text)
		if err != nil {
			if c != nil {
				t.Fatal("both a call and an error")
			}
			return
		}
		if c.method == "" || c.More && c.oneway {
			t.Fatalf("%+v", c)
		}
		s, err := c.Selection()
		if _, given := c.parameters["door"]; err == nil && s.Door != "" && !given {
			t.Fatalf("%+v", s)
		}
		if s.Address.Zone() != "" || s.Address.Is4In6() {
			t.Fatalf("address %v", s.Address)
		}
	})
}
