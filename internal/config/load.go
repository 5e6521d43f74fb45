package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxFile bounds what is read of a file: far above 100,000 doors.
const maxFile = 64 << 20

// Load reads a file and its drop-ins, FILE.d/*.conf in the order of their
// names. Run by root, it refuses drop-ins that others could have written; for
// the main file that is a warning, since knockd 0.8 takes it. There is no
// Trace: it takes more memory than all doors.
func Load(path string) (*Config, error) {
	l := loader{root: os.Geteuid() == 0}
	return l.load(path)
}

// LoadTraced is Load with a Trace.
func LoadTraced(path string) (*Config, error) {
	l := loader{root: os.Geteuid() == 0, traced: true}
	return l.load(path)
}

type loader struct {
	root, traced bool
	faults       []*Fault
}

func (l *loader) load(path string) (*Config, error) {
	text, info, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	dropIns := l.dropIns(path + ".d")
	p := newParser(path)
	p.faults, p.traced = l.faults, l.traced
	c, err := p.parse(source{path, text}, dropIns)
	if err != nil {
		return nil, err
	}
	if who := l.othersWrite(info); who != nil {
		c.Warnings = append(c.Warnings, (&Fault{Place: Place{File: path}, Err: who}).Error())
	}
	return c, nil
}

// dropIns reads the directory of drop-ins, if there is one.
func (l *loader) dropIns(dir string) []source {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = l.othersWrite(info)
	}
	var entries []os.DirEntry
	if err == nil {
		entries, err = os.ReadDir(dir)
	}
	if err != nil {
		l.fault(dir, err)
		return nil
	}
	var out []source
	for _, e := range entries { // sorted by name
		if !strings.HasSuffix(e.Name(), ".conf") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		out = append(out, l.dropIn(filepath.Join(dir, e.Name()))...)
	}
	return out
}

func (l *loader) dropIn(path string) []source {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() { // not even opened: a pipe would block
		err = rulef("must be a plain file")
	}
	var text []byte
	if err == nil {
		text, info, err = readFile(path)
	}
	if err == nil {
		err = l.othersWrite(info)
	}
	if err != nil {
		l.fault(path, err)
		return nil
	}
	return []source{{path, text}}
}

func (l *loader) fault(path string, err error) {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		err = fmt.Errorf("%s: %w", pathErr.Op, pathErr.Err) // the place says which
	}
	l.faults = append(l.faults, &Fault{Place: Place{File: path}, Err: err})
}

// othersWrite says who besides root could have written what root will run.
func (l *loader) othersWrite(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !l.root:
		return nil
	case ok && stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return rulef("belongs to user %d: must belong to root", stat.Uid)
	case info.Mode().Perm()&0o022 != 0:
		return rulef("others can write it (mode %04o): must be writable by root alone", info.Mode().Perm())
	}
	return nil
}

// readFile reads a file and says what it is, of the very file that was read.
func readFile(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	}
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = rulef("must be at most %d MiB", maxFile>>20)
	}
	return text, info, err
}
