package onetime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"knockd/internal/knock"
)

// ErrExhausted: no line that could be used is left.
var ErrExhausted = errors.New("no unused sequence left")

// errGone: the line that is to be marked is not there any more, or is used.
var errGone = errors.New("the sequence in use is not in the file any more")

// File is a file of one-time sequences.
type File struct {
	Path string
	// Parse reads a sequence, the text of a line without blanks around it and
	// the comment behind it.
	Parse func(text string) ([]knock.Step, error)
	// Skipped, if set, is told the number of each line that is neither used
	// nor a sequence. Such a line is left as it is.
	Skipped func(line int)
}

// Line is a line that can be used.
type Line struct {
	Steps  []knock.Step
	Number int // from 1
	offset int64
	text   string
}

// Same says whether two reads found the same line at the same place.
func (l Line) Same(o Line) bool { return l.offset == o.offset && l.text == o.text }

// Next returns the first unused line. The error is ErrExhausted, or the
// file's. The file is not changed.
func (f *File) Next() (Line, error) {
	text, err := os.ReadFile(f.Path)
	if err != nil {
		return Line{}, err
	}
	return f.first(text)
}

// Lines returns all unused lines.
func (f *File) Lines() ([]Line, error) {
	text, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, err
	}
	var lines []Line
	f.each(text, func(l Line) bool {
		lines = append(lines, l)
		return true
	})
	return lines, nil
}

// CheckWritable says whether lines of the file could be marked.
func (f *File) CheckWritable() error {
	file, err := os.OpenFile(f.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

// Use marks a line as used, on the disk, before it returns. A line that is
// used already or gone is an error: whoever asked must not go on.
func (f *File) Use(l Line) error {
	return f.locked(func(file *os.File, text []byte) error {
		return f.mark(file, text, l)
	})
}

// Take marks the first unused line and returns it. Of several that take at
// once, in one process or many, each gets another line.
func (f *File) Take() (l Line, err error) {
	err = f.locked(func(file *os.File, text []byte) error {
		if l, err = f.first(text); err != nil {
			return err
		}
		return f.mark(file, text, l)
	})
	return l, err
}

// locked calls do with the file, which nobody else holds meanwhile.
func (f *File) locked(do func(file *os.File, text []byte) error) error {
	file, err := os.OpenFile(f.Path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close() // and with it the lock
	if err := lock(file); err != nil {
		return fmt.Errorf("lock %s: %w", f.Path, err)
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	return do(file, text)
}

// mark writes # over the first character of a line, and waits for the disk.
func (f *File) mark(file *os.File, text []byte, l Line) error {
	at, ok := find(text, l)
	if !ok {
		return fmt.Errorf("%s: %w", f.Path, errGone)
	}
	if _, err := file.WriteAt([]byte{'#'}, at); err != nil {
		return err
	}
	return file.Sync()
}

// find returns where the line is now: at its place, or elsewhere if somebody
// has edited the file.
func find(text []byte, l Line) (at int64, found bool) {
	unused(text, func(now Line) bool {
		if now.text != l.text {
			return true
		}
		at, found = now.offset, true
		return now.offset < l.offset
	})
	return at, found
}

func (f *File) first(text []byte) (Line, error) {
	var first Line
	err := ErrExhausted
	f.each(text, func(l Line) bool {
		first, err = l, nil
		return false
	})
	return first, err
}

// each calls use with every line that can be used until it returns false.
func (f *File) each(text []byte, use func(Line) bool) {
	unused(text, func(l Line) bool {
		sequence, comment := knock.CutComment(strings.TrimSpace(l.text))
		steps, err := f.Parse(sequence)
		if err == nil {
			err = knock.CheckComment(sequence, comment)
		}
		if err == nil {
			l.Steps = steps
			return use(l)
		}
		if f.Skipped != nil {
			f.Skipped(l.Number)
		}
		return true
	})
}

// unused calls use with every line that is not marked, without its steps,
// until it returns false. A # after blanks makes a comment too.
func unused(text []byte, use func(Line) bool) {
	var offset int64
	number := 0
	for raw := range bytes.Lines(text) {
		// Without its end: somebody may add a line to the last one, that has none.
		l := Line{Number: number + 1, offset: offset, text: string(bytes.TrimRight(raw, "\r\n"))}
		offset += int64(len(raw))
		number++
		if line := bytes.TrimSpace(raw); len(line) == 0 || line[0] == '#' {
			continue
		}
		if !use(l) {
			return
		}
	}
}
