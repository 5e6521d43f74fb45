package fwknop

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"knockd/internal/config"
	"knockd/internal/engine"
	"knockd/internal/nettest"
	"knockd/internal/spa"
)

const etc = "/etc/fwknop/"

// memFiles are files by their path.
type memFiles map[string]string

func (m memFiles) Read(name string) ([]byte, error) {
	if text, ok := m[name]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (m memFiles) List(dir string) (names []string, err error) {
	for name := range m {
		if path.Dir(name) == strings.TrimSuffix(dir, "/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// load returns a case's files, under dir, and the path of fwknopd.conf if it has
// one.
func load(t *testing.T, file, dir string) (a *txtar.Archive, files memFiles, conf string) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files = memFiles{}
	for _, f := range a.Files {
		if !strings.HasPrefix(f.Name, "want.") {
			files[dir+f.Name] = strings.ReplaceAll(string(f.Data), etc, dir)
		}
	}
	if _, ok := files[dir+"fwknopd.conf"]; ok {
		conf = dir + "fwknopd.conf"
	}
	return a, files, conf
}

// results are the texts made of a case, by the names in its archive.
func results(i *Import, err error) []txtar.File {
	if err != nil {
		return []txtar.File{{Name: "want.err", Data: []byte(err.Error() + "\n")}}
	}
	var keys strings.Builder
	for _, d := range i.Doors {
		fmt.Fprintf(&keys, "==> %s\n%s", d.KeyFile("/etc/knockd"), d.Keys)
	}
	return []txtar.File{
		{Name: "want.conf", Data: []byte(i.Config("/etc/knockd"))},
		{Name: "want.keys", Data: []byte(keys.String())},
		{Name: "want.report", Data: []byte(i.Report())},
	}
}

func TestRead(t *testing.T) {
	cases, _ := filepath.Glob("testdata/*.txtar")
	if len(cases) < 20 {
		t.Fatalf("%d cases", len(cases))
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, files, conf := load(t, file, etc)
			i, err := Read(etc+"access.conf", conf, files)
			got := results(i, err)
			a.Files = append(slices.DeleteFunc(a.Files, func(f txtar.File) bool { return strings.HasPrefix(f.Name, "want.") }), got...)
			nettest.Golden(t, file, string(txtar.Format(a)))
			if err == nil {
				doors(t, i)
				noKeys(t, i)
			}
		})
	}
}

// doors makes the doors that the configuration says, as knockd does: drop-in and
// key files are written and read.
func doors(t testing.TB, i *Import) []*spa.Door {
	t.Helper()
	if len(i.Doors) == 0 {
		return nil
	}
	dir := t.TempDir()
	write := func(name, text string) {
		nettest.Write(t, name, text)
	}
	main := filepath.Join(dir, "knockd.conf")
	write(main, "[options]\n[mine]\nsequence = 7000\ncommand = true\n")
	os.Mkdir(main+".d", 0o700)
	write(filepath.Join(main+".d", "fwknop.conf"), i.Config(dir))
	for _, d := range i.Doors {
		write(d.KeyFile(dir), d.Keys)
	}
	c, err := config.Load(main)
	if err != nil {
		t.Fatalf("the configuration cannot be read: %v\n%s", err, i.Config(dir))
	}
	commands := map[string][2]string{}
	for _, d := range c.Doors {
		commands[d.Name] = [2]string{d.StartCommand, d.StopCommand}
	}
	for _, d := range i.Doors {
		if got := commands[d.Name]; got != [2]string{d.get("start_command"), d.get("stop_command")} {
			t.Errorf("[%s]: the commands are read as %q", d.Name, got)
		}
	}
	all, _, err := engine.Prepare(c)
	if err != nil {
		t.Fatal(err)
	}
	return engine.SPADoors(all)
}

// noKeys checks that keys stand in key files alone.
func noKeys(t *testing.T, i *Import) {
	t.Helper()
	for _, d := range doors(t, i) {
		for _, c := range d.Clients {
			for _, key := range []string{string(c.Key), string(c.HMACKey)} {
				if len(key) > 4 && (strings.Contains(i.Report(), key) || strings.Contains(i.Config("/etc/knockd"), key)) {
					t.Errorf("[%s]: a key stands in the report or the configuration", d.Name)
				}
			}
		}
	}
}

// FuzzRead: never an import beside an error, and every door can be set up.
func FuzzRead(f *testing.F) {
	cases, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range cases {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var in [2]string
		for _, x := range a.Files {
			switch x.Name {
			case "access.conf":
				in[0] = string(x.Data)
			case "fwknopd.conf":
				in[1] = string(x.Data)
			}
		}
		f.Add(in[0], in[1])
	}
	f.Fuzz(func(t *testing.T, access, conf string) {
		i, err := Read("a", "c", memFiles{"a": access, "c": conf})
		if (err == nil) == (i == nil) {
			t.Fatalf("%v beside %v", i, err)
		}
		if err == nil {
			doors(t, i)
			i.Config("/d")
			i.Report()
		}
	})
}
