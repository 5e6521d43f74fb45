package fwknop

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// maxLine is the longest line fwknopd reads whole, in octets.
const maxLine = 1023

// maxDepth is how deep includes may nest.
const maxDepth = 3

// maxFiles bounds how many files are read: a file that includes itself often
// would be read for ever.
const maxFiles = 1000

// variable is a line NAME VALUE.
type variable struct {
	at          Place
	name, value string
	order       int // in its stanza
}

// splitLine takes a line apart as fwknopd 2.6.10 does: a comment only in the
// first column, a name up to a blank or a colon, a value up to ; with the
// blanks at its end. ok is false for lines without content.
func splitLine(line string) (name, value string, ok bool, err error) {
	line = strings.TrimSuffix(line, "\r")
	if line == "" || line[0] == '#' || line[0] == ';' {
		return "", "", false, nil
	}
	if len(line) > maxLine {
		return "", "", false, fmt.Errorf("longer than %d octets", maxLine)
	}
	text := strings.TrimLeft(line, " \t")
	i := strings.IndexAny(text, " \t:")
	if i < 0 {
		if text == "" {
			return "", "", false, errors.New("a line of blanks, at which fwknopd stops")
		}
		return "", "", false, errors.New("a name without a value, at which fwknopd stops")
	}
	name, value = text[:i], strings.TrimLeft(strings.TrimPrefix(text[i:], ":"), " \t")
	if end := strings.IndexByte(value, ';'); end >= 0 {
		value = value[:end]
	}
	if value == "" {
		return "", "", false, errors.New("a name without a value, at which fwknopd stops")
	}
	return name, value, true, nil
}

// reader gathers the lines of access.conf and of what it includes.
type reader struct {
	files  Files
	count  int // of files read
	vars   []variable
	faults []error
	seen   map[string]bool // their texts
}

func (r *reader) fault(at Place, format string, args ...any) {
	err := fmt.Errorf("%v: %w", at, fmt.Errorf(format, args...))
	if r.seen == nil {
		r.seen = map[string]bool{}
	}
	if !r.seen[err.Error()] { // a file may be read more than once
		r.seen[err.Error()] = true
		r.faults = append(r.faults, err)
	}
}

// read takes a file's lines, at a depth of includes.
func (r *reader) read(path string, depth int, from Place) {
	if r.count++; r.count > maxFiles {
		if r.count == maxFiles+1 {
			r.fault(from, "more than %d files are included", maxFiles)
		}
		return
	}
	src, err := r.files.Read(path)
	if err != nil {
		if from.File == "" {
			r.faults = append(r.faults, err)
		} else {
			r.fault(from, "include: %w", err)
		}
		return
	}
	for n, line := range strings.Split(string(src), "\n") {
		at := Place{path, n + 1}
		name, value, ok, err := splitLine(line)
		switch {
		case err != nil:
			r.fault(at, "%w", err)
		case ok && strings.HasPrefix(name, "%include"):
			r.include(at, name, strings.TrimSpace(value), depth)
		case ok:
			r.vars = append(r.vars, variable{at: at, name: name, value: value})
		}
	}
}

// include carries out %include, %include_folder and %include_keys.
func (r *reader) include(at Place, name, path string, depth int) {
	if depth == maxDepth {
		r.fault(at, "includes nest deeper than %d", maxDepth)
		return
	}
	switch name {
	case "%include", "%include_keys":
		r.read(path, depth+1, at)
	case "%include_folder":
		paths, err := r.files.List(path)
		if err != nil {
			r.fault(at, "include: %w", err)
		}
		for _, p := range paths {
			if filepath.Ext(p) == ".conf" {
				r.read(p, depth+1, at)
			}
		}
	default:
		r.fault(at, "unknown directive %s", name)
	}
}
