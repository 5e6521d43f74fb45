package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"knockd/internal/statefile"
)

// maxFile bounds what is read of a file: far above 100,000 doors.
const maxFile = 64 << 20

// Load reads a file and its drop-ins, FILE.d/*.conf in the order of their
// names. Run by root, it refuses drop-ins that others could have written; for
// the main file that is a warning, since knockd 0.8 takes it, and so are
// sequences that everybody can read. There is no Trace and no Advice: these take
// more memory than all doors.
func Load(path string) (*Config, error) { return LoadWith(path, Extras{}) }

// Extras are what a Config has beside what a daemon goes by, and what holds where
// the files say nothing and not every machine can have the same.
type Extras struct {
	Trace, Advice bool
	MaxAttempts   int  // 0: knock.DefaultMaxAttempts
	AsRoot        bool // the files are read as if by root, whoever asks
}

// LoadWith is Load with extras.
func LoadWith(path string, with Extras) (*Config, error) {
	l := loader{root: os.Geteuid() == 0 || with.AsRoot, with: with}
	return l.load(path)
}

type loader struct {
	root    bool
	with    Extras
	faults  []*Fault
	exposed []string // files with sequences that everybody can read
}

func (l *loader) load(path string) (*Config, error) {
	text, info, err := statefile.Source{Max: maxFile, Own: true}.Read(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	l.expose(path, text, info)
	dropIns := l.dropIns(path + ".d")
	p := newParser(path)
	p.faults, p.with = l.faults, l.with
	p.config.MaxAttempts = cmp.Or(l.with.MaxAttempts, p.config.MaxAttempts)
	c, err := p.parse(source{path, text}, dropIns)
	if err != nil {
		return nil, err
	}
	if who := l.othersWrite(info); who != nil {
		c.Warnings = append(c.Warnings, (&Fault{Place: Place{File: path}, Err: who}).Error())
	}
	c.Warnings = append(c.Warnings, l.exposed...)
	c.Files = pack(text, dropIns)
	return c, nil
}

// dropIns reads the directory of drop-ins, if there is one.
func (l *loader) dropIns(dir string) []source {
	names, err := statefile.List(dir, l.othersWrite)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		l.fault(dir, err)
		return nil
	}
	var out []source
	for _, name := range names {
		if !strings.HasSuffix(name, ".conf") || strings.HasPrefix(name, ".") {
			continue
		}
		path := filepath.Join(dir, name)
		text, info, err := statefile.Source{Max: maxFile, Check: l.othersWrite}.Read(path)
		if err != nil {
			l.fault(path, err)
			if errors.Is(err, statefile.ErrNoAnswer) {
				break // nor will the next one
			}
			continue
		}
		l.expose(path, text, info)
		out = append(out, source{path, text})
	}
	return out
}

func (l *loader) fault(path string, err error) {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		err = fmt.Errorf("%s: %w", pathErr.Op, pathErr.Err) // the place says which
	}
	if refusal := (*statefile.RefusalError)(nil); errors.As(err, &refusal) {
		err = refusal.Err
	}
	if errors.Is(err, statefile.ErrNotRegular) || errors.Is(err, syscall.EISDIR) {
		err = fmt.Errorf("must be a plain file")
	}
	l.faults = append(l.faults, &Fault{Place: Place{File: path}, Err: err})
}

// othersWrite says who besides root could have written what root will run.
func (l *loader) othersWrite(info fs.FileInfo) error {
	if !l.root {
		return nil
	}
	return statefile.Writable(info)
}

// expose notes a file that everybody can read although it holds sequences.
func (l *loader) expose(path string, text []byte, info fs.FileInfo) {
	if l.root && info.Mode().IsRegular() && statefile.ReadableByAll(info) && sequenceLine.Match(text) {
		rule := fmt.Errorf("everybody can read its sequences (mode %04o): must be readable by root alone", info.Mode().Perm())
		l.exposed = append(l.exposed, (&Fault{Place: Place{File: path}, Err: rule}).Error())
	}
}

// sequenceLine finds a sequence that stands in the file itself.
var sequenceLine = regexp.MustCompile(`(?mi)^[ \t]*sequence[ \t]*=`)
