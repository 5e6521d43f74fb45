package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"knockd/internal/cli"
	"knockd/internal/fwknop"
	"knockd/internal/statefile"
)

const importUsage = "knockctl import fwknop [OPTIONS] [ACCESS.CONF]"

// importName is the drop-in that an import writes.
const importName = "fwknop.conf"

// keyDir is where key files are said to be if none is written.
const keyDir = "/etc/knockd"

// errNothing: what was read makes no door, so there is nothing to write.
var errNothing = errors.New("nothing can be carried over")

// importDoors turns the configuration of another program into doors. Without
// --write it prints the drop-in, and the report on standard error.
func importDoors(_ context.Context, w *world, args []string) error {
	var server, dir string
	f := pflag.NewFlagSet("import", pflag.ContinueOnError)
	f.StringVar(&server, "server", "", "fwknopd.conf `FILE` (default: beside access.conf, if it is there; none: say \"-\")")
	f.StringVar(&dir, "write", "", "write "+importName+" and key files into `DIR`, in place of printing; nothing is overwritten")
	words, err := parse(w, f, importUsage, args)
	if err != nil {
		return err
	}
	if len(words) == 0 || len(words) > 2 || words[0] != "fwknop" {
		return cli.Usagef(importUsage, "import takes fwknop and at most one file")
	}
	access := "/etc/fwknop/access.conf"
	if len(words) == 2 {
		access = words[1]
	}
	i, err := fwknop.Read(access, serverConfig(server, access), disk{})
	if err != nil {
		return err
	}
	if len(i.Doors) == 0 {
		fmt.Fprint(w.stderr, i.Report())
		return fmt.Errorf("%s: %w", access, errNothing)
	}
	if dir == "" {
		fmt.Fprint(w.stderr, i.Report())
		fmt.Fprint(w.stdout, i.Config(keyDir))
		return nil
	}
	if err := writeImport(i, dir); err != nil {
		return err
	}
	fmt.Fprint(w.stdout, i.Report())
	return nil
}

// serverConfig returns the path of fwknopd.conf, or "" for none.
func serverConfig(named, access string) string {
	switch named {
	case "-":
		return ""
	case "":
		beside := filepath.Join(filepath.Dir(access), "fwknopd.conf")
		if _, err := os.Stat(beside); err != nil {
			return ""
		}
		return beside
	}
	return named
}

// writeImport writes the key files and, last, the drop-in that names them. What
// was written is taken away again if not all of it can be.
func writeImport(i *fwknop.Import, dir string) (err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var written []string
	defer func() {
		if err != nil {
			for _, name := range written {
				os.Remove(name)
			}
		}
	}()
	for _, d := range i.Doors {
		if err := writeNew(d.KeyFile(dir), d.Keys); err != nil {
			return err
		}
		written = append(written, d.KeyFile(dir))
	}
	return writeNew(filepath.Join(dir, importName), i.Config(dir))
}

// writeNew writes a file that nobody else can read, if there is none.
func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return cli.WithHint(err, "nothing is overwritten: move it away, or choose another directory")
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(name)
		return err
	}
	return nil
}

// maxImported bounds what is read of a file, in octets.
const maxImported = 16 << 20

// disk is fwknop.Files of this machine.
type disk struct{}

func (disk) Read(path string) ([]byte, error) {
	text, _, err := statefile.Source{Max: maxImported, Own: true}.Read(path)
	return text, err
}

func (disk) List(dir string) (paths []string, err error) {
	names, err := statefile.List(dir, nil)
	for _, name := range names {
		paths = append(paths, filepath.Join(dir, name))
	}
	return paths, err
}
