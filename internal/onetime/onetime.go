package onetime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"knockd/internal/knock"
	"knockd/internal/statefile"
)

// ErrExhausted says that no line that could be used is left.
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
	// Guarded refuses a file that everybody can write: whoever puts a line there
	// opens the door.
	Guarded bool
}

// maxFile bounds what is read of a file, in octets.
const maxFile = 64 << 20

// errOpenToAll: the rule that a guarded file breaks.
var errOpenToAll = errors.New("everybody can write it: who does opens the door (chmod o-w)")

func (f *File) check(info fs.FileInfo) error {
	if f.Guarded && statefile.WritableByAll(info) {
		return errOpenToAll
	}
	return nil
}

func (f *File) read() ([]byte, error) {
	text, _, err := statefile.Source{Max: maxFile, Check: f.check}.Read(f.Path)
	return text, err
}

// Line is a line that can be used.
type Line struct {
	Steps  []knock.Step
	Number int // from 1
	offset int64
	text   string
}

// Same reports whether two reads found the same line at the same place.
func (l Line) Same(o Line) bool { return l.offset == o.offset && l.text == o.text }

// Next returns the first unused line. The error is ErrExhausted, or the
// file's. The file is not changed.
func (f *File) Next() (Line, error) {
	text, err := f.read()
	if err != nil {
		return Line{}, err
	}
	return f.first(text)
}

// Lines returns all unused lines.
func (f *File) Lines() ([]Line, error) {
	text, err := f.read()
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

// Used returns the lines that are marked as used, as far as that can be told: the
// mark has taken the place of a line's first character, which was a blank or a
// digit. Of one line there are several in the result, one for each sequence that it
// can have been; and some comments look like a used line.
func (f *File) Used() ([]Line, error) {
	text, err := f.read()
	if err != nil {
		return nil, err
	}
	var lines []Line
	number := 0
	for raw := range bytes.Lines(text) {
		number++
		rest, marked := strings.CutPrefix(string(raw), "#")
		if !marked {
			continue
		}
		for _, first := range " 123456789" {
			sequence, _ := knock.CutComment(strings.TrimSpace(string(first) + rest))
			if steps, err := f.Parse(sequence); err == nil {
				lines = append(lines, Line{Steps: steps, Number: number})
			}
		}
	}
	return lines, nil
}

// CheckWritable says why lines of the file could not be marked and, in the
// warnings, who else could write or read them.
func (f *File) CheckWritable() (warnings []string, err error) {
	file, err := statefile.Open(f.Path, os.O_RDWR, 0, f.check)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	mode := info.Mode().Perm()
	if err := statefile.Foreign(info); err != nil {
		warnings = append(warnings, err.Error())
	}
	if statefile.WritableByGroup(info) {
		warnings = append(warnings, fmt.Sprintf("its group can write it (mode %04o): who does opens the door", mode))
	}
	if statefile.ReadableByAll(info) {
		warnings = append(warnings, fmt.Sprintf("everybody can read it (mode %04o): who does knows the sequences, and can keep the door shut", mode))
	}
	return warnings, nil
}

// Use marks a line as used, on the disk, before it returns. A line that is
// used already or gone is an error: whoever asked must not go on.
func (f *File) Use(l Line) error {
	return f.locked(func(ctx context.Context, file *os.File, text []byte) error {
		return f.mark(ctx, file, text, l)
	})
}

// Take marks the first unused line and returns it. Of several that take at
// once, in one process or many, each gets another line.
func (f *File) Take() (l Line, err error) {
	taken := make(chan Line, 1)
	err = f.locked(func(ctx context.Context, file *os.File, text []byte) error {
		first, err := f.first(text)
		if err == nil {
			err = f.mark(ctx, file, text, first)
		}
		taken <- first
		return err
	})
	if err != nil {
		return Line{}, err
	}
	return <-taken, nil
}

// locked calls do with the file, which nobody else holds meanwhile.
func (f *File) locked(do func(ctx context.Context, file *os.File, text []byte) error) error {
	return statefile.Locked(f.Path, f.check, func(ctx context.Context, file *os.File) error {
		text, err := io.ReadAll(io.LimitReader(file, maxFile))
		if err != nil {
			return err
		}
		return do(ctx, file, text)
	})
}

// mark writes # over the first character of a line, and waits for the disk. When
// nobody waits any more the line stays as it is.
func (f *File) mark(ctx context.Context, file *os.File, text []byte, l Line) error {
	at, ok := find(text, l)
	if !ok {
		return fmt.Errorf("%s: %w", f.Path, errGone)
	}
	if err := ctx.Err(); err != nil {
		return err
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
