package fwknop

import (
	"fmt"
	"slices"
	"strings"
)

// Files is how the package gets at files.
type Files interface {
	// Read returns the text of a file.
	Read(path string) ([]byte, error)
	// List returns the paths of the files in a directory, sorted.
	List(dir string) ([]string, error)
}

// Kind says what a Note reports.
type Kind uint8

// The kinds of notes.
const (
	Carried Kind = iota // it means the same
	Changed             // it means something else, or only nearly the same
	Lost                // it has no counterpart
)

// String returns the heading of a report's part.
func (k Kind) String() string {
	return [...]string{"carried over", "changed in meaning", "cannot be carried over"}[k]
}

// Place is a line of a file.
type Place struct {
	File string
	Line int
}

// String returns FILE:LINE.
func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Note is a sentence of the report. It never holds a key.
type Note struct {
	Kind  Kind
	Place Place  // zero if it is about the whole
	Text  string // begins with what it is about
}

// Setting is NAME = VALUE of a configuration.
type Setting struct{ Name, Value string }

// Door is what becomes of a stanza.
type Door struct {
	Name     string
	Place    Place     // its SOURCE line
	Settings []Setting // without spa_key_file
	Keys     string    // the key file's text
}

// Import is what becomes of fwknopd's configuration.
type Import struct {
	Options []Setting // for [options]
	Doors   []Door    // in the order in which fwknopd tries them
	Notes   []Note
}

// KeyFile returns the path of a door's key file.
func (d Door) KeyFile(dir string) string {
	return strings.TrimSuffix(dir, "/") + "/" + d.Name + ".keys"
}

// Config returns the text of a drop-in whose key files are in a directory.
func (i *Import) Config(dir string) string {
	var s strings.Builder
	s.WriteString("# Doors for clients of fwknop.\n")
	if len(i.Options) > 0 {
		s.WriteString("\n[options]\n")
		writeSettings(&s, i.Options)
	}
	for _, d := range i.Doors {
		fmt.Fprintf(&s, "\n[%s]\n", d.Name)
		writeSettings(&s, append([]Setting{{"new", "yes"}, {"spa_key_file", d.KeyFile(dir)}}, d.Settings...))
	}
	return s.String()
}

func writeSettings(s *strings.Builder, all []Setting) {
	for _, x := range all {
		fmt.Fprintf(s, "%-15s = %s\n", x.Name, x.Value)
	}
}

// Report returns the notes as text for people, by kind.
func (i *Import) Report() string {
	var s strings.Builder
	for kind := Carried; kind <= Lost; kind++ {
		notes := slices.DeleteFunc(slices.Clone(i.Notes), func(n Note) bool { return n.Kind != kind })
		if len(notes) == 0 {
			continue
		}
		fmt.Fprintf(&s, "%s:\n", kind)
		for _, n := range notes {
			if n.Place != (Place{}) {
				fmt.Fprintf(&s, "  %v: %s\n", n.Place, n.Text)
			} else {
				fmt.Fprintf(&s, "  %s\n", n.Text)
			}
		}
	}
	return s.String()
}

func (i *Import) note(kind Kind, at Place, format string, args ...any) {
	i.Notes = append(i.Notes, Note{kind, at, fmt.Sprintf(format, args...)})
}
